// What a file has in place of Gradio's controls: light and dark, a choice of one among words, and tabs.
const controls = (() => {
  const node = (name, className = '', text = '') =>
    Object.assign(document.createElement(name), { className, textContent: text });
  const marked = (one, given) => {
    for (const [key, value] of Object.entries(given)) one.setAttribute(key, value);
  };

  // The system's theme, until one is chosen.
  function themed(button) {
    const theme = (name) => {
      document.body.classList.toggle('dark', name === 'dark');
      document.documentElement.style.colorScheme = name;
    };
    let chosen = null; // where storage is denied, the choice lasts as long as the page
    const system = matchMedia('(prefers-color-scheme: dark)');
    const follow = () => theme(chosen || playground.remember('playground-theme') || (system.matches ? 'dark' : 'light'));
    follow();
    system.addEventListener('change', follow);
    button.addEventListener('click', () => {
      chosen = document.body.classList.contains('dark') ? 'light' : 'dark';
      playground.remember('playground-theme', chosen);
      theme(chosen);
    });
  }

  // A choice of one among words; returns what changes the words and the chosen one.
  let groups = 0;
  function segments(home, label, choices, value, act) {
    const block = node('div', 'block segments');
    const group = node('fieldset');
    const row = node('div', 'wrap');
    const name = `choice-${groups += 1}`;
    const title = node('legend', '', label);
    title.dataset.testid = 'block-info';
    group.append(title, row);
    block.append(group);
    home.append(block);
    const mark = (now) => {
      for (const option of row.children) {
        const input = option.querySelector('input');
        input.checked = input.value === String(now);
        option.classList.toggle('selected', input.checked);
      }
    };
    const fill = (given, now) => {
      const key = JSON.stringify(given);
      if (key !== row.dataset.choices) {
        row.dataset.choices = key;
        row.replaceChildren(...given.map(([words, option]) => {
          const choice = node('label');
          const input = Object.assign(node('input'), { type: 'radio', name, value: option });
          input.addEventListener('change', () => { mark(option); act(option); });
          choice.append(input, node('span', '', words));
          return choice;
        }));
      }
      block.hidden = given.length < 2;
      mark(now);
    };
    fill(choices, value);
    return fill;
  }

  // Tabs whose buttons stand in `bar` and whose panels follow each other in `home`; `opened(name)` is told of a choice.
  function tabs(bar, home, opened) {
    const known = new Map(); // by name
    const open = (name) => {
      for (const [key, { button, panel }] of known) {
        button.setAttribute('aria-selected', String(key === name));
        button.tabIndex = key === name ? 0 : -1;
        panel.hidden = key !== name;
      }
      opened(name);
    };
    bar.addEventListener('keydown', (event) => {
      const names = [...known.keys()];
      const now = names.findIndex((name) => !known.get(name).panel.hidden);
      const to = { ArrowRight: now + 1, ArrowLeft: now - 1, Home: 0, End: names.length - 1 }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      const name = names[(to + names.length) % names.length];
      open(name);
      known.get(name).button.focus();
    });
    return {
      open,
      add(name, title, ...parts) {
        const [button, panel] = [node('button', '', title), node('div', 'tabitem')];
        Object.assign(button, { type: 'button', id: `tab-${name}` });
        Object.assign(panel, { id: `panel-${name}`, hidden: true });
        marked(button, { role: 'tab', 'aria-controls': panel.id });
        marked(panel, { role: 'tabpanel', 'aria-labelledby': button.id });
        button.addEventListener('click', () => open(name));
        panel.append(...parts);
        bar.append(button);
        home.append(panel);
        known.set(name, { button, panel });
      },
    };
  }

  return { node, themed, segments, tabs };
})();
