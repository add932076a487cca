// A console for read-only SQL over the statistics.
import { useEffect, useRef, useState } from 'preact/hooks';
import { postJson } from '../base/api';
import { formatCount, formatDuration } from '../base/format';
import { download, toCsv } from '../base/results';
import { Empty, Failure, Loading, Panel } from '../parts/bits';
import { Icon } from '../parts/icons';

interface Answer {
  columns: { name: string; type: string }[];
  rows: (string | number | boolean | null)[][];
  truncated: boolean;
}

const KEY = 'sightline.sql';
const SHOWN = 1000;
const EXAMPLES: [string, string][] = [
  ['Tables', 'SHOW TABLES'],
  ['Newest overall ranking', 'SELECT * FROM top_items_overall\nWHERE window_start = (SELECT max(window_start) FROM top_items_overall)\nORDER BY rank'],
  ['Busiest locations', 'SELECT geographical_location, sum(item_count) AS seen\nFROM item_counts\nGROUP BY ALL\nORDER BY seen DESC\nLIMIT 20'],
  ['An item by window', "SELECT window_start, sum(item_count) AS seen\nFROM item_counts\nWHERE item_name = 'person'\nGROUP BY ALL\nORDER BY window_start DESC\nLIMIT 60"],
];

function remembered(): string {
  try {
    return localStorage.getItem(KEY) ?? EXAMPLES[1]![1];
  } catch {
    return EXAMPLES[1]![1];
  }
}

export function SqlView() {
  const [sql, setSql] = useState(remembered);
  const [answer, setAnswer] = useState<Answer | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [took, setTook] = useState<number | null>(null);
  const running = useRef<AbortController | null>(null);
  const [busy, setBusy] = useState(false);
  useEffect(() => () => running.current?.abort(), []);

  const run = async () => {
    running.current?.abort();
    const abort = new AbortController();
    running.current = abort;
    const began = performance.now();
    setBusy(true);
    setError(null);
    try {
      localStorage.setItem(KEY, sql);
    } catch {
      // Not remembered then.
    }
    try {
      const got = await postJson<Answer>('/v1/sql', { sql }, abort.signal);
      setAnswer(got);
      setTook(performance.now() - began);
    } catch (trouble) {
      if (abort.signal.aborted) return;
      setError(trouble);
      setAnswer(null);
    }
    setBusy(false);
  };
  const stop = () => {
    running.current?.abort();
    setBusy(false);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      void run();
    }
  };
  return (
    <div class="sql">
      <Panel title="SQL" aside={<span class="muted">read only, over final results</span>}>
        <div class="sql-editor">
          <label class="visually-hidden" for="sql-text">Statement</label>
          <textarea id="sql-text" spellcheck={false} rows={7} value={sql} onInput={(e) => setSql(e.currentTarget.value)} onKeyDown={onKeyDown} />
          <div class="sql-bar">
            <div class="sql-examples" role="group" aria-label="Examples">{EXAMPLES.map(([name, text]) => <button key={name} type="button" class="link" onClick={() => setSql(text)}>{name}</button>)}</div>
            {busy ? <button type="button" class="button" onClick={stop}>Stop</button> : <button type="button" class="button primary" onClick={() => void run()}>Run <small>Ctrl + Enter</small></button>}
          </div>
        </div>
      </Panel>
      <Panel
        title="Result" class="sql-result"
        aside={answer && <><span class="muted">{formatCount(answer.rows.length)} rows{answer.truncated ? ', cut off by the server' : ''} · {formatDuration(took)}</span><button type="button" class="button" onClick={() => download('result.csv', toCsv(answer.columns.map((c) => c.name), answer.rows))}><Icon name="down" size={14} />CSV</button></>}
      >
        {error ? <Failure error={error} /> : busy ? <Loading what="result" /> : answer ? <ResultTable answer={answer} /> : <Empty title="Nothing run yet">Choose an example or write a statement, then press Ctrl + Enter.</Empty>}
      </Panel>
    </div>
  );
}

const NUMBER = /^(U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?|DOUBLE|FLOAT|REAL|DECIMAL.*|INT64|INT32)$/i;

function ResultTable({ answer }: { answer: Answer }) {
  if (answer.rows.length === 0) return <Empty title="The statement found no rows" />;
  return (
    <div class="table-wrap" tabIndex={0} role="region" aria-label="Result">
      <table>
        <thead><tr>{answer.columns.map((c, i) => <th key={i} class={NUMBER.test(c.type) ? 'num' : ''}>{c.name}<small> {c.type.toLowerCase()}</small></th>)}</tr></thead>
        <tbody>{answer.rows.slice(0, SHOWN).map((row, r) => <tr key={r}>{row.map((value, i) => <td key={i} class={NUMBER.test(answer.columns[i]?.type ?? '') ? 'num' : ''}>{value === null ? <span class="muted">null</span> : String(value)}</td>)}</tr>)}</tbody>
      </table>
      {answer.rows.length > SHOWN && <p class="panel-note">The first {formatCount(SHOWN)} rows. The CSV has all {formatCount(answer.rows.length)}.</p>}
    </div>
  );
}
