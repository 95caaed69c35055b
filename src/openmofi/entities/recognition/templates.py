"""Frames of alt texts, and words to fill them with.

``{e}`` is an entity, ``{es}`` several of it, ``{adj}`` a property, ``{file}`` a file's name,
``{n}`` a number, ``{w}`` a word that is no alias, ``{x}`` a made-up word that names nothing.
"""

TRAINING = (
    "{e}", "{e}", "{es}", "{adj} {e}", "{adj} {es}", "the {e}", "a {adj} {e}", "{e} {n}",
    "{e} and {e}", "{e}, {e} and {e}", "{e}, {es}, {e}", "{e} / {e}", "{e} - {e}", "{e} vs {e}",
    "{e} with {e}", "{e} on {adj} {e}", "{e} in the {e}", "{e} near {e}", "{e} for {es}",
    "a {adj} {e} and a {adj} {e}", "{n} {es} and {n} {es}", "the {adj} {e} of the {e}",
    "a photo of a {e}", "photo of {adj} {es}", "picture of the {e} taken in {n}",
    "a close-up of a {e} with {adj} {e}", "portrait of a {adj} {e}", "drawing of {es}",
    "vintage poster: {e}", "{e} stock photo", "{e} royalty free image", "{e} vector illustration",
    "a man holding a {e}", "a woman looking at the {e}", "people walking past a {adj} {e}",
    "two children playing with {es}", "she is wearing a {adj} {e}", "he sits on a {e}",
    "how to draw a {e}", "how to make {es} at home", "what is a {e}?", "why do {es} matter?",
    "learn more about {e}", "everything you need to know about {es}", "the history of {e}",
    "best {es} of {n}", "top {n} {es} for your {e}", "buy {adj} {e} online", "cheap {es} for sale",
    "{e} - buy now", "new {e}, {adj}, size {n}", "set of {n} {adj} {es}", "{e} ({adj})",
    "view of {e} from the {e}", "sunset over {e}", "welcome to {e}", "a trip to {e} in {n}",
    "map of {e}", "{e} at night", "{e} in winter", "inside the {adj} {e}",
    "the {e} was built in {n}",
    "this {e} is {adj}", "these {es} are {adj} and {adj}", "my {e} is {adj} today",
    "our {adj} {e}!!!", "I love my {e}", "not just a {e}: it is a {e}", "{e} or {e}?",
    "from {e} to {e}", "between the {e} and the {e}", "{x}: {adj} {e}", "{e} by {x}", "{x} {e} {n}",
    "{x} and {x} with {e}", "{file} {e}", "{e} {file}", "{e}: {adj} or {adj}?", "{e}... {adj}!",
    '"{e}" by {x}', "the {e}'s {e}", "{e} made of {e}", "{adj} and {adj}: {es}",
    "click here for {es}", "{file}", "{file} {n}", "image not found", "click to enlarge", "logo",
    "{w} {e}", "{w} {w} {e}", "{e} {w}", "{e} {w} {w} {e}", "{w}: {e} {w}", "{w} {w} {adj} {e}",
    "{w} {w} {w}", "{es} {w} {es}", "{w}, {w} {es}", "{e}, {w} {w}", "the {e} {w} {w}", "{w} a {e}",
    "untitled {n}", "{x} {x}", "{x}", "page {n} of {n}", "very {adj} and {adj}",
    "{adj}, {adj}, {adj}",
    "loading, please wait", "share this with your friends", "it was {adj}", "by {x}", "{n} x {n}",
)  # fmt: skip

# Never trained on. With few words that a knowledge base of nouns knows: what those are is no
# knowledge of the frame's.
EVALUATION = (
    "we have seen {adj} {es} there", "they were often seen with the {e}",
    "is that really a {adj} {e}?",
    "nobody knew whose {e} that was", "because of the {adj} {e}", "{adj} {e} alongside {adj} {es}",
    "without any {e} or {e}", "{es} which are {adj}, {adj} and {adj}", "another {e} among the {es}",
    "{n}: {e}; {n}: {e}", "{e} (also {e})", "yet another {adj} {e}, quickly painted by {x}",
    "her {e} became {adj}", "{file} - {adj} {e}", "{x} brought us these {es}",
    "{e}, {adj}, by {x}",
    "{e} + {e} + {e}", "behind both {es}, barely visible: the {e}", "don't forget the {e}",
    "#{e} #{adj} #{e}", "entirely {adj}", "{file} {adj}", "was it {adj}? or {adj}?",
    "with {x} and {x}",
)  # fmt: skip

ADJECTIVES = (
    "beautiful", "wooden", "huge", "tiny", "rusty", "colourful", "shiny", "elegant", "dusty",
    "broken", "empty", "ancient", "modern", "red", "blue", "green", "old", "young", "wild", "tall",
    "handmade", "printed", "painted", "floating", "smiling", "sleeping", "delicious", "fresh",
    "frozen", "transparent", "golden", "rural", "urban", "tropical", "isolated", "seamless",
    "amazing", "adorable", "lovely", "gorgeous", "cheerful", "strange", "curious", "famous",
    "expensive", "waterproof", "reusable", "foldable", "portable", "wireless", "electric",
    "digital", "historic", "medieval", "abandoned", "crowded", "snowy", "sunny", "cloudy", "foggy",
    "striped", "spotted", "furry", "fluffy", "round", "narrow", "wide", "heavy", "lightweight",
    "organic", "homemade", "roasted", "sliced", "decorated", "hidden", "giant", "miniature",
)  # fmt: skip

FILES = (
    "IMG_{n}.jpg", "DSC{n}", "dsc_{n}.JPG", "image{n}.png", "P{n}.jpeg", "Screenshot_{n}",
    "{n}.gif",
    "{n}-large.jpg", "untitled-{n}.webp", "wp-image-{n}", "photo_{n}_n.jpg", "{n}x{n}",
)  # fmt: skip

BEFORE = ("{file} ", "{file}: ", "NEW! ", "{n}. ", "» ", "- ", "[{n}] ", "{x} | ", "Home > ")
AFTER = (
    " {file}", " #{n}", " - free shipping", " | {x}", " ({n})", "...", "!", ".", " © {x} {n}",
    " - stock image", " -- {x}.com", " 100% off", ", {n}", " [HD]", " via {x}",
)  # fmt: skip
# Of made-up words; the two kinds of text share none.
TRAINING_SYLLABLES = (
    "zor", "vex", "quil", "nax", "thry", "blom", "kuv", "wix", "jep", "dral", "fosk", "ilg", "uzt",
    "pyx", "grev", "yol", "snub", "ekh", "ovi", "amz",
)  # fmt: skip
EVALUATION_SYLLABLES = (
    "glim", "orp", "tawk", "sij", "mube", "chay", "lunt", "rhee", "brask", "dwo", "ispe", "fyrn",
)  # fmt: skip
