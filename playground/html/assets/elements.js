// The page's own elements, mounted without Gradio. Each element's code is a function `run` of what
// Gradio gives it: its node, its properties, the sender of its events, and who is told of changes.
const elements = {};

// What the elements ask of the page's script; most of it has no part in a file.
window.playground = {
  still: true, // nothing is run or gone on with here
  remember(key, value) {
    try { return value === undefined ? localStorage.getItem(key) : localStorage.setItem(key, value); }
    catch { return null; } // in a frame, or from a disk, storage may be denied
  },
  chooser: () => () => {},
  chat: { use() {} },
  link: { asked: '' },
  branches: { known: () => [] },
  turns: { take() {} },
  inTurn() {},
  redress() {},
  gather() {},
};

// An element in `home`, with a value that is set by `show`. `on` answers its events by name.
function mount(home, name, { value = null, constants = {}, on = {}, server = {} } = {}) {
  const watchers = [];
  const props = { value };
  const [block, container, element] = ['block', 'html-container', ''].map((className) =>
    Object.assign(document.createElement('div'), { className }));
  block.classList.add(`pg-${name}`);
  element.classList.add(`pg-${name}`);
  element.innerHTML = elements[name].template; // static, and of this project alone
  container.append(element);
  block.append(container);
  home.append(block);
  const trigger = (event, data) => on[event]?.(data, props.value);
  elements[name].run(element, props, trigger, (_, act) => watchers.push(act), server, constants);
  return {
    block,
    element,
    show(given) {
      props.value = given;
      for (const act of watchers) act();
    },
  };
}
