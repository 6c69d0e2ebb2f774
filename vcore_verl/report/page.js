const responses = JSON.parse(document.getElementById("responses").textContent);
const [dataset, prompt, reader] = ["dataset", "prompt", "reader"].map((id) => document.getElementById(id));

function element(tag, text, className) {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function show() {
  const item = responses[dataset.value][prompt.value];
  const sides = element("div", "", "sides");
  for (const answer of item.answers) {
    const side = element("div", "");
    const correct = `${Math.round(100 * answer.share)} % of the samples correct`;
    const shown = `${answer.decoding}: ${answer.status}, ${answer.tokens} tokens`;
    side.append(element("b", `${answer.label}: ${correct}`), element("br", ""));
    side.append(element("span", shown, answer.status === "correct" ? "good" : "bad"), element("pre", answer.text));
    sides.append(side);
  }
  reader.replaceChildren(element("pre", item.prompt), element("p", `accepted answer: ${item.gold}`), sides);
}

function list() {
  prompt.replaceChildren(...responses[dataset.value].map((item, index) => new Option(item.id, index)));
  show();
}

dataset.replaceChildren(...Object.keys(responses).map((name) => new Option(name, name)));
dataset.addEventListener("change", list);
prompt.addEventListener("change", show);
list();
