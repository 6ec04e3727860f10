// What answers in this tab have told of privacy. Gone when the tab is.

const stated = new Map();
let answers = 0;

export function rememberAnswer(done) {
  answers += 1;
  for (const view of done.answered) {
    const before = stated.get(view.node) ?? { node: view.node, answers: 0, epsilon: null, delta: null };
    stated.set(view.node, { node: view.node, answers: before.answers + 1, epsilon: view.epsilon ?? before.epsilon, delta: view.delta ?? before.delta });
  }
}

export const seenHere = () => ({ answers, nodes: [...stated.values()] });
