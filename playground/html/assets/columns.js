// The upper part of a file: what was asked of which model, and the columns with their recipes and texts.
const columns = (() => {
  const { node } = controls;
  const $ = (selector) => document.querySelector(selector);

  function head({ prompt, model, facts, created, outcome, settings, chips }) {
    document.title = `${prompt.replace(/\s+/g, ' ').slice(0, 60)} · Decoding playground`;
    $('#header .title').textContent = model;
    $('#facts .status').textContent = facts;
    $('#setup .asked').textContent = prompt;
    const made = new Date(created);
    const when = Number.isNaN(made.getTime()) ? created
      : made.toLocaleDateString('en-GB', { day: 'numeric', month: 'long', year: 'numeric' });
    $('#line').textContent = `Recorded on ${when}: ${outcome}`;
    for (const [name, value] of settings) {
      const pair = node('div');
      pair.append(node('dt', '', name), node('dd', '', value));
      $('#setup .limits').append(pair);
    }
    mount($('#setup .prompt'), 'chips', { value: chips });
  }

  // A column; returns the element of its text, whose events `on` answers.
  function column(lane, number, value, on) {
    const box = node('section', 'lane card');
    box.dataset.lane = number;
    box.setAttribute('aria-label', `Column ${lane.letter}`);
    const recipe = node('div', 'recipe');
    recipe.style.setProperty('--colour', lane.colour);
    recipe.style.setProperty('--ink', lane.ink);
    const top = node('header');
    const letter = node('span', 'letter', lane.letter);
    const steps = node('ol', 'steps');
    steps.title = lane.recipe;
    lane.steps.forEach(({ label, enabled }, i) => {
      const step = node('li', 'step');
      step.classList.toggle('off', !enabled);
      step.classList.toggle('search', i === lane.steps.length - 1);
      step.append(node('span', '', label));
      steps.append(step);
    });
    if (lane.name) top.append(letter, node('h2', 'name', lane.name));
    else top.append(letter, steps);
    recipe.append(top, ...(lane.name ? [steps] : []));
    const frame = node('div');
    frame.append(recipe);
    box.append(frame);
    $('#columns').append(box);
    return mount(box, 'strip', { value, constants: { colour: lane.colour }, on });
  }

  return { head, column };
})();
