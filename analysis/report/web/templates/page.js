"use strict";
const MATHS = { "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "η": "eta", "θ": "theta",
  "λ": "lambda", "μ": "mu", "ρ": "rho", "σ": "sigma", "Σ": "Sigma", "∇": "nabla", "·": "cdot", "×": "times", "±": "pm",
  "−": "-", "⟨": "langle", "⟩": "rangle", "‖": "Vert", "∫": "int", "√": "surd", "≥": "geq", "≤": "leq",
  "→": "to", "½": "frac12", "θ\u0304": "bar\\theta" };
const RAISED = { "⁻": "-", "⁰": "0", "¹": "1", "²": "2", "³": "3", "⁴": "4", "⁵": "5", "⁶": "6", "⁷": "7", "⁸": "8", "⁹": "9", "ᵀ": "\\top" };
const LOWERED = { "₀": "0", "₁": "1", "₂": "2", "₃": "3", "₄": "4", "ᵢ": "i" };
const ESCAPED = { "\\": "\\textbackslash{}", "^": "\\textasciicircum{}", "~": "\\textasciitilde{}" };

const shown = (element) => !element.hidden;
const PLAIN = /^\d+(\.\d+)?$/;
const numbersOf = (cell) => cell.dataset.n?.split(";") ?? (PLAIN.test(cell.textContent) ? [cell.textContent] : null);
const identifierOf = (cell) => cell.querySelector(".name")?.textContent ?? "";
const textOf = (cell) => (identifierOf(cell) ? cell.firstChild.textContent.trim() : cell.textContent);
const bodyRows = (table) => [...table.tBodies[0].rows];

function latexOf(text) {
  const maths = text.replace(/[\\^~#$%&_{}]/g, (c) => ESCAPED[c] ?? "\\" + c).replace(/[⁻⁰¹²³⁴⁵⁶⁷⁸⁹ᵀ]+/g, (run) => "$^{" + [...run].map((c) => RAISED[c]).join("") + "}$")
    .replace(/[₀₁₂₃₄ᵢ]+/g, (run) => "$_{" + [...run].map((c) => LOWERED[c]).join("") + "}$")
    .replace(/θ\u0304|./gu, (c) => (MATHS[c] === undefined ? c : MATHS[c] === "-" ? "$-$" : "$\\" + MATHS[c] + "$"));
  return maths.replaceAll("$$", "").replace(/\\times10/g, "\\times 10").replaceAll("–", "--");
}

function visible(table) {
  const heads = [...table.tHead.rows[0].cells];
  const places = heads.map((_, place) => place).filter((place) => shown(heads[place]));
  const rows = bodyRows(table).filter(shown).map((row) => places.map((place) => row.cells[place]));
  return { heads: places.map((place) => heads[place].textContent.trim()), rows };
}

function asLatex(table) {
  const { heads, rows } = visible(table);
  const line = (texts) => "  " + texts.map(latexOf).join(" & ") + " \\\\";
  return ["\\begin{tabular}{" + "r".repeat(heads.length) + "}", "  \\toprule", line(heads), "  \\midrule",
    ...rows.map((row) => line(row.map(textOf))), "  \\bottomrule", "\\end{tabular}", ""].join("\n");
}

function asCsv(table) {
  const { heads, rows } = visible(table);
  const names = ["", " stderr", " low", " high"];
  const quote = (text) => (/[",\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text);
  const columns = heads.flatMap((head, place) => {
    const cells = rows.map((row) => row[place]);
    const numbers = cells.map(numbersOf);
    const plain = head.replace(/ \(×10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+\)$/, "");
    if (cells.some(identifierOf)) return [[head, ...cells.map(textOf)], [head + " identifier", ...cells.map((cell) => identifierOf(cell) || textOf(cell))]];
    if (!numbers.some((each) => each)) return [[head, ...cells.map((cell) => cell.textContent)]];
    return names.map((name, part) => [plain + name, ...numbers.map((each) => (each?.[part] ?? ""))])
      .filter((column, part) => part === 0 || column.slice(1).some((text) => text !== ""));
  });
  return columns[0].map((_, line) => columns.map((column) => quote(column[line])).join(",")).join("\n") + "\n";
}

function sortBy(table, head) {
  const place = head.cellIndex;
  const isUp = head.getAttribute("aria-sort") !== "ascending";
  for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", isUp ? "ascending" : "descending");
  const key = (row) => { const found = numbersOf(row.cells[place]); return found ? Number(found[0]) : null; };
  const isNumeric = head.firstElementChild.dataset.sort === "number";
  const order = (one, other) => {
    if (!isNumeric) {
      const [first, second] = [one, other].map((row) => textOf(row.cells[place]));
      return (isUp ? 1 : -1) * first.localeCompare(second, "en", { numeric: true });
    }
    const [first, second] = [key(one), key(other)];
    if (first === null || second === null) return (first === null) - (second === null);
    return isUp ? first - second : second - first;
  };
  table.tBodies[0].append(...bodyRows(table).sort(order));
}

function filterRows(table, text) {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word);
  for (const row of bodyRows(table)) {
    const content = [...row.cells].map((cell) => cell.textContent).join(" ").toLowerCase();
    row.hidden = !words.every((word) => content.includes(word));
  }
}

function choose(box, table) {
  const chosen = [...box.querySelectorAll("input[type=radio]:checked")].map((input) => input.value);
  [...table.tHead.rows[0].cells].forEach((head, place) => {
    const words = (head.dataset.with || "").split(" ").filter((word) => word);
    const isHidden = !words.every((word) => chosen.includes(word));
    head.hidden = isHidden;
    for (const row of bodyRows(table)) row.cells[place].hidden = isHidden;
  });
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

function save(text, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  link.download = name;
  link.click();
  URL.revokeObjectURL(link.href);
}

for (const box of document.querySelectorAll(".table")) {
  const table = box.querySelector("table");
  const said = box.querySelector(".said");
  choose(box, table);
  box.addEventListener("change", () => choose(box, table));
  box.addEventListener("input", (event) => { if (event.target.matches(".filter")) filterRows(table, event.target.value); });
  box.addEventListener("click", async (event) => {
    const button = event.target.closest("button");
    if (button === null) return;
    if (button.dataset.sort) sortBy(table, button.parentElement);
    if (button.dataset.copy) {
      await copy(button.dataset.copy === "csv" ? asCsv(table) : asLatex(table));
      said.textContent = "copied";
      button.focus();
    }
    if ("save" in button.dataset) {
      save(asCsv(table), box.dataset.title.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "") + ".csv");
      said.textContent = "saved";
    }
  });
}

function titleAt(element, box) {
  for (let each = element; each && each !== box; each = each.parentElement) {
    const title = [...each.children].find((child) => child.tagName === "title");
    if (title) return title;
  }
  return null;
}

for (const box of document.querySelectorAll(".drawn")) {
  const titles = [...box.querySelectorAll("title")];
  const value = box.nextElementSibling;
  let pointed = null;
  const point = (title) => {
    pointed?.parentElement.classList.remove("pointed");
    pointed = title;
    pointed?.parentElement.classList.add("pointed");
    if (pointed) value.textContent = pointed.textContent;
  };
  box.addEventListener("pointerover", (event) => point(titleAt(event.target, box)));
  box.addEventListener("focus", () => { if (titles.length && !value.textContent) value.textContent = "Press → or ← for the value of each mark."; });
  box.addEventListener("blur", () => point(null));
  box.addEventListener("keydown", (event) => {
    const last = titles.length - 1, at = titles.indexOf(pointed);
    const next = { ArrowRight: Math.min(at + 1, last), ArrowLeft: Math.max(at - 1, 0), Home: 0, End: last }[event.key];
    if (next === undefined || last < 0) return;
    event.preventDefault();
    point(titles[next]);
    titles[next].parentElement.scrollIntoView({ block: "nearest", inline: "nearest" });
  });
}

let opened = [];
addEventListener("beforeprint", () => {
  opened = [...document.querySelectorAll("details:not([open])")];
  for (const each of opened) each.open = true;
});
addEventListener("afterprint", () => { for (const each of opened) each.open = false; });
