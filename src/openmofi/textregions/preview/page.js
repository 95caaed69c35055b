"use strict";
(() => {
  const element = (id) => document.getElementById(id);
  const dialog = element("large");

  function open(card) {
    element("large-name").textContent = card.querySelector(".where").textContent;
    const picture = card.querySelector(".open").firstElementChild.cloneNode(true);
    element("large-picture").replaceChildren(picture);
    element("large-says").textContent = card.querySelector(".says").textContent;
    const boxes = [...card.querySelectorAll(".frame title")].map((title) => {
      const item = document.createElement("li");
      item.textContent = title.textContent;
      return item;
    });
    // On the picture the last is on top; in a list the surest comes first.
    element("large-boxes").replaceChildren(...boxes.reverse());
    dialog.showModal();
  }

  for (const card of document.querySelectorAll(".card")) {
    card.querySelector(".open").addEventListener("click", () => open(card));
  }
  // A click beside the dialog closes it, as Escape does.
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
})();
