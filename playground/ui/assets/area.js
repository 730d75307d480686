// Which area of the page is shown, and which experiment: both survive a reload, and a link with
// ?experiment= opens one. Runs before Gradio's own script.
{
  const AREA = 'playground-area';
  const EARLIER = 'playground-experiments'; // those that this browser began or opened
  const MOST = 30;
  const keep = (key, value) => { try { sessionStorage.setItem(key, value); } catch { /* denied in a frame */ } };
  const kept = (key) => { try { return sessionStorage.getItem(key); } catch { return null; } };
  const asked = () => new URLSearchParams(location.search).get('experiment');
  const listeners = { area: [], experiment: [], earlier: [] };
  let area = 'compare';
  let wanted = asked() ? 'decide' : kept(AREA); // taken once there is such an area: a host may offer no experiments
  let experiment = asked();

  function read() {
    try { return JSON.parse(playground.remember(EARLIER) ?? '[]').filter(({ id }) => typeof id === 'string'); }
    catch { return []; }
  }
  function write(entry) {
    const others = read().filter(({ id }) => id !== entry.id);
    playground.remember(EARLIER, JSON.stringify([entry, ...others].slice(0, MOST)));
  }
  function address() {
    const query = new URLSearchParams(location.search);
    if (experiment && area === 'decide') query.set('experiment', experiment);
    else query.delete('experiment');
    history.replaceState(history.state, '', `${location.pathname}${query.size ? `?${query}` : ''}${location.hash}`);
  }
  const tell = (what, value) => { for (const listener of listeners[what]) listener(value); };

  window.playground.area = {
    attach(draw) {
      listeners.area.push(draw);
      if (wanted === 'decide') area = wanted;
      wanted = null;
      const page = document.querySelector('#page');
      if (page) page.dataset.area = area;
      draw(area);
    },
    get shown() { return area; },
    show(name) {
      area = name;
      keep(AREA, name);
      document.querySelector('#page').dataset.area = name;
      address();
      tell('area', area);
      dispatchEvent(new Event('resize')); // charts that were hidden find their width
    },
  };
  window.playground.experiments = {
    isOver: (stage) => ['done', 'stopped', 'failed'].includes(stage),
    get id() { return experiment; },
    // listen(what, heard): calls `heard` with the id for 'experiment', with [{id, title, when}, …] for 'earlier'.
    listen(what, heard) {
      listeners[what].push(heard);
      heard(what === 'experiment' ? experiment : read());
    },
    // Opened by its id; `begun` here, so that it is this visitor's.
    open(id, begun) {
      if (begun) write({ id, title: '', when: Date.now(), mine: true });
      experiment = id;
      address();
      tell('experiment', id);
    },
    // Called with the title of an experiment, once that is known.
    name(id, title) {
      if (read()[0]?.id === id && read()[0].title === title) return; // it is called at each update
      write({ when: Date.now(), ...read().find((one) => one.id === id), id, title });
      tell('earlier', read());
    },
    mine: (id) => read().some((one) => one.id === id && one.mine),
    forget(id) {
      playground.remember(EARLIER, JSON.stringify(read().filter((one) => one.id !== id)));
      tell('earlier', read());
    },
  };
}
