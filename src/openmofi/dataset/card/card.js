"use strict";
(() => {
  const element = (id) => document.getElementById(id);
  const { pictures, sheets } = JSON.parse(element("card-data").textContent);
  const rows = [...element("entities").rows];
  const dialog = element("sheet");
  const said = (row, name) => row.querySelector(name).textContent;
  const words = rows.map((row) =>
    ["name", "id", "about"].map((name) => said(row, `.${name}`)).join("\n").toLowerCase());

  function made(tag, name, text) {
    const one = document.createElement(tag);
    if (name) one.className = name;
    if (text !== undefined) one.textContent = text;
    return one;
  }

  function image(picture) {
    if (!picture.src) return made("div", "none", "no picture");
    const one = made("img");
    one.src = picture.src;
    one.alt = picture.text.map(([text]) => text).join("");
    return one;
  }

  function figure(picture) {
    const whole = made("figure");
    const frame = made("div", "frame");
    frame.append(image(picture));
    const text = made("p", "text");
    text.dir = "auto";
    text.append(...picture.text.map(([piece, kind]) => kind ? made("mark", kind, piece) : piece));
    const labels = made("ul", "labels");
    for (const [name, score] of picture.labels) {
      const item = made("li");
      item.append(made("bdi", "", name), " ", made("small", "", score));
      labels.append(item);
    }
    const caption = made("figcaption");
    caption.append(text, labels);
    whole.append(frame, caption);
    return whole;
  }

  function open(row) {
    const shown = sheets[rows.indexOf(row)].map((place) => pictures[place]);
    element("sheet-name").textContent = said(row, ".name");
    element("sheet-about").textContent = [said(row, ".id"), said(row, ".about")]
      .filter((one) => one).join(": ");
    const none = made("p", "note", "This page holds no picture of it.");
    element("sheet-pictures").replaceChildren(...(shown.length ? shown.map(figure) : [none]));
    dialog.showModal();
    dialog.scrollTop = 0;
  }

  function search() {
    const wanted = element("search").value.trim().toLowerCase();
    let found = 0;
    rows.forEach((row, place) => {
      row.hidden = !words[place].includes(wanted);
      found += !row.hidden;
    });
    element("found").textContent = wanted ? `${found} of ${rows.length}` : "";
  }

  rows.forEach((row, place) => {
    const first = sheets[place].map((one) => pictures[one]).find((one) => one.src);
    if (!first) return;
    const face = made("img");
    face.src = first.src;
    face.alt = "";
    row.cells[0].append(face);
  });
  element("entities").addEventListener("click", (event) => open(event.target.closest("tr")));
  element("search").addEventListener("input", search);
  // A click beside the dialog closes it, as Escape does.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  search(); // a browser may have kept what was typed
})();
