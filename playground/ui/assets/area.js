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
  let area = asked() ? 'decide' : kept(AREA) === 'decide' ? 'decide' : 'compare';
  let experiment = asked();

  function read() {
    try { return JSON.parse(playground.remember(EARLIER) ?? '[]').filter(({ id }) => typeof id === 'string'); }
    catch { return []; }
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
    get id() { return experiment; },
    // listen(what, heard): 'experiment' tells its id, 'earlier' the list of {id, title, when}.
    listen(what, heard) {
      listeners[what].push(heard);
      heard(what === 'experiment' ? experiment : read());
    },
    open(id) {
      experiment = id;
      address();
      tell('experiment', id);
    },
    // Called with what an experiment is called, once that is known.
    name(id, title) {
      if (read()[0]?.id === id && read()[0].title === title) return; // it is told again and again
      const others = read().filter((one) => one.id !== id);
      const when = read().find((one) => one.id === id)?.when ?? Date.now();
      playground.remember(EARLIER, JSON.stringify([{ id, title, when }, ...others].slice(0, MOST)));
      tell('earlier', read());
    },
    forget(id) {
      playground.remember(EARLIER, JSON.stringify(read().filter((one) => one.id !== id)));
      tell('earlier', read());
    },
  };
}
