"use strict";
(() => {
  const sheet = JSON.parse(document.getElementById("sheet").textContent);
  const labels = sheet.images.flatMap((image, place) =>
    image.labels.map((label, number) => ({ image, place, label, number })));
  const LETTERS = { right: "r", wrong: "w", unsure: "u" };
  const VERDICTS = { r: "right", w: "wrong", u: "unsure" };
  const STORE = `openmofi-audit-${sheet.digest}`;
  const LONGEST = 60; // seconds; longer is a pause, not a judgement
  const element = (id) => document.getElementById(id);

  let answers = restored(); // one letter a label, "-" where there is none yet
  let at = firstOpen();
  let unsaved = false; // told to nobody: neither this browser nor a file
  let since = performance.now();
  const taken = []; // seconds of the answers of this sitting

  function restored() {
    let kept = null;
    try {
      kept = localStorage.getItem(STORE);
    } catch {
      // keep() says so as soon as there is something to lose
    }
    const fits = kept && kept.length === labels.length && /^[rwu-]*$/.test(kept);
    return fits ? [...kept] : labels.map(() => "-");
  }

  function firstOpen() {
    const open = answers.indexOf("-");
    return open < 0 ? labels.length : open;
  }

  function keep() {
    try {
      localStorage.setItem(STORE, answers.join(""));
    } catch {
      unsaved = true;
      notice("This browser keeps nothing: save before you close the page.");
    }
  }

  function notice(text) {
    element("notice").textContent = text;
  }

  function answer(verdict) {
    if (at >= labels.length) return;
    taken.push(Math.min((performance.now() - since) / 1000, LONGEST));
    answers[at] = LETTERS[verdict];
    notice("");
    keep();
    at += 1;
    show(`${verdict}. `);
  }

  function back() {
    if (at === 0) return;
    at -= 1;
    show("");
  }

  function toggleText() {
    if (at >= labels.length) return;
    const hidden = !element("text").hidden;
    element("text").hidden = hidden;
    element("show").setAttribute("aria-expanded", String(!hidden));
  }

  function save() {
    const told = labels.flatMap(({ image, label }, place) =>
      answers[place] === "-" ? [] : [{
        shard: image.shard, key: image.key, entity_id: label.entity_id,
        clip_score: label.clip_score, stratum: image.stratum, weight: image.weight,
        answer: VERDICTS[answers[place]],
      }]);
    const content = {
      kind: "audit_answers", sheet: sheet.digest, made_with: sheet.made_with,
      judged_at: new Date().toISOString(), answers: told,
    };
    const blob = new Blob([JSON.stringify(content, null, 1)], { type: "application/json" });
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = `answers-${sheet.digest.slice(0, 8)}.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    unsaved = false;
    notice(`${told.length} of ${labels.length} answers saved as ${link.download}.`);
  }

  function timeLeft(open) {
    if (taken.length < 5) return "";
    const recent = taken.slice(-50).sort((one, other) => one - other);
    const minutes = (recent[recent.length >> 1] * open) / 60;
    return minutes < 1 ? ", less than a minute left" : `, about ${Math.round(minutes)} min left`;
  }

  function showCounts() {
    const count = (letter) => answers.filter((one) => one === letter).length;
    const open = count("-");
    element("progress").max = labels.length;
    element("progress").value = labels.length - open;
    element("counts").textContent = `${labels.length - open} of ${labels.length} judged: ` +
      `${count("r")} right, ${count("w")} wrong, ${count("u")} unsure` +
      (open ? timeLeft(open) : "");
  }

  function showLabel() {
    const { image, place, label, number } = labels[at];
    const several = image.labels.length > 1 ? `, label ${number + 1} of ${image.labels.length}` : "";
    element("picture").src = image.picture;
    element("picture").alt = `picture ${place + 1}`;
    element("place").textContent = `Picture ${place + 1} of ${sheet.images.length}${several}`;
    element("name").textContent = label.name;
    element("description").textContent = label.description;
    element("text").textContent = image.alt_text || "(no text)";
    const verdict = VERDICTS[answers[at]] || "";
    element("said").textContent = verdict && `You said: ${verdict}.`;
    element("said").className = `said ${verdict}`;
  }

  function show(before) {
    const done = at >= labels.length;
    element("judging").hidden = done;
    element("done").hidden = !done;
    element("text").hidden = true;
    element("show").setAttribute("aria-expanded", "false");
    for (const id of ["right", "wrong", "unsure", "show"]) element(id).disabled = done;
    element("back").disabled = at === 0;
    if (!done) showLabel();
    showCounts();
    element("live").textContent =
      before + (done ? "All labels are judged." : `${labels[at].label.name}: does it show it?`);
    if (done) element("save").focus();
    since = performance.now();
  }

  const ACTIONS = {
    right: () => answer("right"), wrong: () => answer("wrong"), unsure: () => answer("unsure"),
    back, show: toggleText, save,
  };
  const KEYS = {
    y: "right", arrowright: "right", n: "wrong", arrowleft: "wrong", u: "unsure", "?": "unsure",
    b: "back", backspace: "back", t: "show", s: "save",
  };
  for (const [id, act] of Object.entries(ACTIONS)) element(id).addEventListener("click", act);
  document.addEventListener("keydown", (event) => {
    const id = KEYS[event.key.toLowerCase()];
    // A key held down must not judge a whole row of pictures.
    if (!id || event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
    event.preventDefault();
    ACTIONS[id]();
  });
  window.addEventListener("beforeunload", (event) => {
    if (unsaved) event.preventDefault();
  });
  show("");
})();
