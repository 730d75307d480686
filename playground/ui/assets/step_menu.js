// The menu of strategies for a new step: typing narrows it, the arrows move in it, Enter takes one.
// const menu = playground.stepMenu(box, strategies, prefix, { opener, add }): `opener()` is the button that
// opens it, add(strategy) is called for the one that was taken, `prefix` begins the ids of its options.
// strategies: [{id, kind, summary, broken}]; a broken one is listed with its error and cannot be taken.
window.playground.stepMenu = (box, strategies, prefix, { opener, add }) => {
  const HEADS = { processor: 'Reshape the scores', search: 'Choose the token' };
  const [find, found, none] = ['.find', '.found', '.none'].map((s) => box.querySelector(s));
  const options = [];
  let marked = -1; // the option that Enter takes
  const id = (i) => `${prefix}-option-${i}`;

  function toggle() {
    if (!box.hidden) return close();
    box.hidden = false;
    opener().setAttribute('aria-expanded', 'true');
    find.value = '';
    narrow();
    find.focus({ preventScroll: true });
    box.scrollIntoView({ block: 'nearest' });
  }

  function close(back = false) {
    if (box.hidden) return;
    box.hidden = true;
    opener().setAttribute('aria-expanded', 'false');
    if (back) opener().focus();
  }

  function take(strategy) {
    close();
    add(strategy);
  }

  // Strategies with every typed word in name or summary; first those whose names begin with the text.
  function narrow() {
    const words = find.value.toLowerCase().split(/[\s_]+/).filter(Boolean);
    for (const option of options) {
      const { name, says } = option;
      const fits = words.every((word) => name.includes(word) || says.includes(word));
      const first = words.length && name.replaceAll('_', ' ').startsWith(words.join(' '));
      option.rank = !fits ? 0 : first ? 3 : words.every((word) => name.includes(word)) ? 2 : 1;
      option.item.hidden = !fits;
    }
    for (const group of found.children)
      group.hidden = !group.querySelector('[role="option"]:not([hidden])');
    const best = Math.max(...options.map(({ rank }) => rank));
    none.hidden = best > 0;
    mark(best ? options.findIndex(({ rank, broken }) => rank === best && !broken) : -1);
  }

  function mark(i) {
    options[marked]?.item.removeAttribute('aria-selected');
    marked = i;
    find.setAttribute('aria-activedescendant', i < 0 ? '' : id(i));
    options[i]?.item.setAttribute('aria-selected', 'true');
    options[i]?.item.scrollIntoView({ block: 'nearest' });
  }

  function option(strategy) {
    const item = document.createElement('div');
    const name = document.createElement('b');
    const says = strategy.broken ?? strategy.summary;
    item.setAttribute('role', 'option');
    item.id = id(options.length);
    name.textContent = strategy.id;
    item.append(name, ' ', says);
    if (strategy.broken) item.setAttribute('aria-disabled', 'true');
    else item.addEventListener('click', () => take(strategy));
    options.push({ ...strategy, item, name: strategy.id.toLowerCase(), says: says.toLowerCase() });
    return item;
  }

  for (const [kind, title] of Object.entries(HEADS)) {
    const group = document.createElement('div');
    const head = document.createElement('p');
    group.setAttribute('role', 'group');
    group.setAttribute('aria-label', title);
    head.className = 'kind';
    head.setAttribute('role', 'presentation');
    head.textContent = title;
    group.append(head, ...strategies.filter((s) => s.kind === kind).map(option));
    found.append(group);
  }
  found.id = id('s');
  find.setAttribute('aria-controls', found.id);
  find.addEventListener('input', narrow);
  find.addEventListener('keydown', (event) => {
    const near = options.map((_, i) => i).filter((i) => options[i].rank && !options[i].broken);
    const at = near.indexOf(marked);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + 6, PageUp: at - 6 }[event.key];
    const ends = event.key.startsWith('Page');
    if (event.key === 'Escape' || event.key === 'Tab') close(true);
    else if (event.key === 'Enter' && marked >= 0 && !event.ctrlKey && !event.metaKey) take(options[marked]);
    else if (to !== undefined && near.length)
      mark(near[ends ? Math.max(0, Math.min(to, near.length - 1)) : (to + near.length) % near.length]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return { toggle, close, get hidden() { return box.hidden; }, name(label) { find.setAttribute('aria-label', label); } };
};
