// The table of all tokens, with the selected one marked and in sight.
function tokenTable() {
  const { node } = controls;
  const box = node('div', 'table');
  box.tabIndex = 0;
  box.setAttribute('role', 'region');
  box.setAttribute('aria-label', 'Tokens');
  let drawn = null;

  function draw({ columns: names, rows }) {
    const made = node('table');
    const line = (values, cell) => {
      const row = node('tr');
      row.append(...values.map(cell));
      return row;
    };
    made.append(node('thead'), node('tbody'));
    made.tHead.append(line(names, (name) => Object.assign(node('th', '', name), { scope: 'col' })));
    made.tBodies[0].append(...rows.map((values) =>
      line(values, (value) => node('td', typeof value === 'number' ? 'number' : '', value ?? ''))));
    box.replaceChildren(made);
  }

  return {
    box,
    // `table` {columns, rows}, and the token by its column's letter and its position, counted from 1.
    show(table, letter, position) {
      if (drawn !== table) draw(drawn = table);
      const [column, at] = [table.columns.indexOf('column'), table.columns.indexOf('position')];
      table.rows.forEach((row, i) => {
        box.querySelector('tbody').children[i].classList.toggle('selected', row[column] === letter && row[at] === position);
      });
      const line = box.querySelector('.selected'); // within the table alone: the panel stays where it is
      if (line) box.scrollTop = line.offsetTop - box.clientHeight / 2;
    },
  };
}
