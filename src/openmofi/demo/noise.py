"""How noisy the demo crawl is. All shares are here, and fixed.

They were set once, before anything was trained on the crawl, from how web crawls are described:
most alt texts are coarse, crowded or padded, some are wrong, a few files are broken. They must
never be tuned to make a result look better; a crawl with other noise is another crawl and needs
another `GENERATOR_VERSION`.
"""

# Raised when the same seed gives other files.
GENERATOR_VERSION = 1

# What an alt text does; sums to 1.
TEXT_KINDS = {
    "specific": 0.36,  # names what is shown
    "chatter": 0.16,  # the same, within stock-photo chatter
    "several": 0.14,  # names two or three entities, of which one is shown
    "placed": 0.05,  # names what is shown, which has namesakes, with a place that tells them apart
    "namesake": 0.05,  # names a namesake of something that can be drawn; another thing is shown
    "coarse": 0.13,  # names nothing: "flag waving in the wind"
    "wrong": 0.08,  # belongs to another picture
    "none": 0.03,  # empty, or a dash
}

# Share of images that carry rendered text, which repeats the caption.
RENDERED_TEXT = 1 / 3

# What is wrong with a file, as shares of all files; the rest is sound.
FAULTS = {
    "truncated": 0.010,  # a JPEG that ends too early
    "not_an_image": 0.005,  # a web page under an image's name
    "tiny": 0.010,  # 8 x 8 pixels
    "exact_duplicate": 0.020,  # the bytes of an earlier file, with another text
    "near_duplicate": 0.020,  # an earlier picture, shrunk and compressed again
}

# Page titles; sums to 1. A title of a wrong text never names what is shown.
TITLES = {"none": 0.40, "general": 0.45, "names": 0.15}

LOWER_CASE = 0.12  # of alt texts written in small letters throughout
UPPER_CASE = 0.03

# An entity's share of its domain goes with fame to this power: the best known flags and vases are
# about four times as frequent as the least known, the best known butterflies about twenty times.
FAME_POWER = 0.3
