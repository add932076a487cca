// Whether everything is well: the flow of events, the accounts, what was set aside and why, and where each part stands.
import type { ComponentChildren } from 'preact';
import { formatBytes, formatCompact, formatCount, formatDuration, formatRate, plural } from '../base/format';
import { getJson, query } from '../base/api';
import type { Model } from '../base/model';
import { route, setParams } from '../base/router';
import { Sparkline } from '../charts/sparkline';
import { DEAD, history, identityOf, root, rootName, status, statusLink, VERDICTS, type PipelineStatus, type Sample, type Status } from '../live/status';
import { Empty, Failure, Loading, Panel, When } from '../parts/bits';
import { Icon } from '../parts/icons';
import { useData } from '../parts/use_data';

const VERDICT_WORDS: Record<string, string> = {
  counted: 'counted', filtered: 'filtered', duplicates: 'duplicates', late: 'late', future: 'future', malformed: 'malformed', invalid: 'invalid', state_limit: 'state limit',
};
const REASONS: Record<string, string> = {
  late: 'came after its window was final', future: 'its time is ahead of the clock', malformed: 'cannot be parsed', invalid: 'breaks the contract', state_limit: 'no room left for state',
};

export function HealthView({ model }: { model: Model }) {
  const now = status.value;
  if (!now) return <div class="center"><Loading what="status" /></div>;
  const pipeline = root.value;
  if (!pipeline) return <Empty title="No pipeline runs">Add one to the configuration, <code>sightline check</code> it, and restart.</Empty>;
  return (
    <div class="health">
      <Alarms now={now} />
      <Tiles pipeline={pipeline} now={now} samples={history.value} />
      <Accounts pipeline={pipeline} />
      <Pipelines now={now} />
      <DeadLetters pipeline={pipeline} />
      <Partitions now={now} />
      {route.value.params.reason && <Letters pipeline={pipeline.name} reason={route.value.params.reason} />}
      <Sinks now={now} />
      <Server now={now} model={model} />
    </div>
  );
}

// What needs somebody's hands, in words; nothing when all is well.
function Alarms({ now }: { now: Status }) {
  const alarms: ComponentChildren[] = [];
  if (statusLink.value === 'reconnecting') alarms.push(<>The server does not answer. These figures are of <When ms={now.now} part="seconds" alone />. Trying again.</>);
  for (const p of now.pipelines) {
    if (p.state === 'failed') alarms.push(<><strong>{p.name}</strong> has failed: {p.error ?? 'no reason given'}. Repair the cause and restart; it goes on from its last commit.</>);
    for (const part of p.partitions) if (part.hot) alarms.push(<>Partition {part.partition} of <strong>{p.name}</strong> is {plural(part.end - part.offset, 'record')} behind while others wait for work. One core works on a partition: let <code>partition_by</code> spread the events more evenly, or filter them earlier.</>);
    if (!identityOf(p).holds) alarms.push(<>The accounts of <strong>{p.name}</strong> do not balance. Run <code>sightline audit</code>, which recounts from the log.</>);
  }
  for (const sink of now.sinks) if (sink.error) alarms.push(<>Sink <strong>{sink.name}</strong>: {sink.error}. Results wait in the log and follow when it is back.</>);
  if (alarms.length === 0) return null;
  return <ul class="alarms" role="alert">{alarms.map((alarm, i) => <li key={i}><Icon name="warn" /><span>{alarm}</span></li>)}</ul>;
}

function Tile({ label, value, unit, note, values, tone }: { label: string; value: string; unit?: string; note?: string; values: (number | null)[]; tone?: string }) {
  return (
    <div class={`tile panel ${tone ? `tone-${tone}` : ''}`}>
      <dt>{label}</dt>
      <dd class="tile-value">{value}{unit && <small>{unit}</small>}</dd>
      <dd class="tile-more"><Sparkline values={values} width={200} height={44} /><span>{note ?? ' '}</span></dd>
    </div>
  );
}

function Tiles({ pipeline, now, samples }: { pipeline: PipelineStatus; now: Status; samples: Sample[] }) {
  const behind = pipeline.watermark === null ? null : now.now - pipeline.watermark;
  const last = samples.at(-1);
  const of = (pick: (s: Sample) => number | null) => samples.map(pick);
  return (
    <dl class="tiles" aria-label="The last minutes">
      <Tile label="Throughput" value={formatRate(pipeline.rate_per_s)} unit=" events/s" values={of((s) => s.rate)} note={`${formatCount(pipeline.in)} in all`} />
      <Tile label="Lag" value={formatDuration(pipeline.lag_ms)} values={of((s) => s.lagMs)} note={plural(pipeline.lag_records, 'record')} tone={pipeline.lag_ms > 5000 ? 'warn' : ''} />
      <Tile label="Watermark" value={formatDuration(behind)} unit={behind === null ? '' : ' behind'} values={of((s) => s.watermarkBehind)} note={pipeline.watermark === null ? 'no event yet' : undefined} />
      <Tile label="Duplicates" value={formatRate(last?.duplicatesPerS)} unit=" /s" values={of((s) => s.duplicatesPerS)} note={`${formatCount(pipeline.verdicts.duplicates)} in all`} />
      <Tile label="Late" value={formatRate(last?.latePerS)} unit=" /s" values={of((s) => s.latePerS)} note={`${formatCount(pipeline.verdicts.late)} in all, ${formatCount(pipeline.partially_late)} partly`} />
      <Tile label="State" value={formatBytes(pipeline.state_bytes)} values={of((s) => s.stateBytes)} note={plural(pipeline.open_windows, 'open window')} />
      <Tile label="Live clients" value={formatCount(now.live.clients)} values={of((s) => s.messagesPerS)} note={`${formatRate(now.live.messages_per_s)} messages/s`} />
    </dl>
  );
}

function Accounts({ pipeline }: { pipeline: PipelineStatus }) {
  const identity = identityOf(pipeline);
  return (
    <Panel
      title="Accounts" class="accounts"
      aside={<span class={`verdict ${identity.holds ? 'is-ok' : 'is-bad'}`}><Icon name={identity.holds ? 'check' : 'cross'} size={14} />{identity.holds ? 'every event is accounted for' : `off by ${formatCount(identity.in - identity.sum)}`}</span>}
    >
      <p class="equation">
        <span class="term is-in"><b>{formatCount(pipeline.in)}</b><small>in</small></span>
        <i>{identity.holds ? '=' : '≠'}</i>
        {VERDICTS.map((name, i) => (
          <span class="term-pair" key={name}>
            {i > 0 && <i>+</i>}
            <span class={`term ${pipeline.verdicts[name] ? '' : 'is-zero'}`}><b>{formatCount(pipeline.verdicts[name] ?? 0)}</b><small>{VERDICT_WORDS[name]}</small></span>
          </span>
        ))}
      </p>
      <p class="panel-note">
        Every record offered to <strong>{rootName.value}</strong> stands under exactly one verdict, after every crash as well.
        {pipeline.extra_fields > 0 && <> Fields that the contract does not name: {formatCount(pipeline.extra_fields)}.</>}
        {pipeline.unknown_location > 0 && <> Counted, with a location that is not in the reference: {formatCount(pipeline.unknown_location)}.</>}
      </p>
    </Panel>
  );
}

// What the other engine says of the job that makes a pipeline's results.
function jobNote(pipeline: PipelineStatus, now: number) {
  const job = pipeline.job;
  if (!job) return '';
  const age = job.checkpoint_at === null ? 'no checkpoint yet' : `checkpoint ${formatDuration(Math.max(0, now - job.checkpoint_at))} ago`;
  const failed = job.checkpoints_failed ? `, ${plural(job.checkpoints_failed, 'failed checkpoint')}` : '';
  return `${job.engine}: ${(job.state || 'unknown').toLowerCase()}, ${age}, ${plural(job.restarts, 'restart')}${failed}${job.failure ? `; last failure: ${job.failure}` : ''}`;
}

function StateTag({ pipeline }: { pipeline: PipelineStatus }) {
  return <span class={`tag ${pipeline.state === 'running' ? 'tag-final' : pipeline.state === 'failed' ? 'tag-bad' : ''}`} title={pipeline.error ?? ''}>{pipeline.state}</span>;
}

function Pipelines({ now }: { now: Status }) {
  const chosen = route.value.params.pipeline ?? rootName.value;
  return (
    <Panel title="Pipelines" class="pipelines">
      <div class="table-wrap" tabIndex={0} role="region" aria-label="Pipelines">
        <table>
          <thead><tr><th>Pipeline</th><th>State</th><th class="num">In /s</th><th class="num">In</th><th class="num">Results</th><th class="num">Lag</th><th class="num">Watermark</th><th class="num">Open</th><th class="num">State</th><th class="num">Commits</th><th>Accounts</th></tr></thead>
          <tbody>
            {now.pipelines.map((p) => (
              <tr key={p.name} class={p.name === chosen ? 'is-chosen' : ''}>
                <td><button type="button" class="link" aria-pressed={p.name === chosen} title="Show its partitions" onClick={() => setParams({ pipeline: p.name })}>{p.name}</button></td>
                <td><StateTag pipeline={p} />{p.job && <small class="job-note" title={p.job.id}> {jobNote(p, now.now)}</small>}</td>
                <td class="num">{formatRate(p.rate_per_s)}</td><td class="num">{formatCount(p.in)}</td><td class="num">{formatCount(p.results)}</td>
                <td class="num">{formatDuration(p.lag_ms)}</td><td class="num"><When ms={p.watermark} part="seconds" /></td><td class="num">{formatCount(p.open_windows)}</td>
                <td class="num">{formatBytes(p.state_bytes)}</td><td class="num">{formatCount(p.commits)}</td>
                <td>{identityOf(p).holds ? <span class="verdict is-ok"><Icon name="check" size={14} />balanced</span> : <span class="verdict is-bad"><Icon name="cross" size={14} />off</span>}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function DeadLetters({ pipeline }: { pipeline: PipelineStatus }) {
  const most = Math.max(1, ...DEAD.map((name) => pipeline.verdicts[name] ?? 0));
  const chosen = route.value.params.reason;
  return (
    <Panel title="Dead letters by reason" class="dead">
      <ul class="dead-list">
        {DEAD.map((name) => {
          const n = pipeline.verdicts[name] ?? 0;
          return (
            <li key={name} class={n === 0 ? 'is-zero' : ''}>
              <span class="dead-name">{n === 0 ? VERDICT_WORDS[name] : <button type="button" class="link" aria-pressed={name === chosen} title="Show some of them" onClick={() => setParams({ reason: name === chosen ? null : name })}>{VERDICT_WORDS[name]}</button>}<small>{REASONS[name]}</small></span>
              <span class="top-bar" aria-hidden="true"><i class="dead-bar" style={{ transform: `scaleX(${n / most})` }} /></span>
              <b>{formatCount(n)}</b>
            </li>
          );
        })}
      </ul>
      <p class="panel-note">Choose a reason to see some. Give them back with <code>sightline dead-letter replay</code>.</p>
    </Panel>
  );
}

interface Letter {
  topic: string;
  partition: number;
  offset: number;
  field: string;
  cause: string;
  origin: { kind: string; dataset?: string; topic?: string; partition?: number; offset?: number; request_id?: string };
  received: number;
  original?: string;
  original_base64url?: string;
  original_size: number;
}

const LETTERS = 20;

// The newest that are kept.
function Letters({ pipeline, reason }: { pipeline: string; reason: string }) {
  const letters = useData(`${pipeline}|${reason}`, (abort) => getJson<{ dead_letters: Letter[] }>(`/v1/pipelines/${encodeURIComponent(pipeline)}/dead-letters?${query({ reason, limit: LETTERS })}`, abort));
  const from = (l: Letter) => (l.origin.kind === 'topic' ? `${l.origin.topic}/${l.origin.partition} at ${l.origin.offset}` : `request ${l.origin.request_id ?? ''}`);
  return (
    <Panel title={<>Dead letters<span class="title-note">{VERDICT_WORDS[reason] ?? reason}, the newest {LETTERS}</span></>} class="letters" aside={<button type="button" class="icon-button" aria-label="Close dead letters" onClick={() => setParams({ reason: null })}><Icon name="cross" /></button>}>
      {letters.error ? <Failure error={letters.error} onRetry={letters.reload} /> : letters.value === null ? <Loading what="dead letters" />
        : letters.value.dead_letters.length === 0 ? <p class="panel-note">None is kept: there was none, or their topic's retention has taken them.</p> : (
          <div class="table-wrap" tabIndex={0} role="region" aria-label="Dead letters">
            <table>
              <thead><tr><th>Received</th><th>Field</th><th>Cause</th><th>From</th><th class="num">Bytes</th><th>Original</th></tr></thead>
              <tbody>
                {letters.value.dead_letters.map((l) => (
                  <tr key={`${l.topic}/${l.partition}/${l.offset}`}>
                    <td><When ms={l.received} part="seconds" /></td><td>{l.field || '–'}</td><td title={l.cause}>{l.cause || REASONS[reason]}</td><td>{from(l)}</td><td class="num">{formatCount(l.original_size)}</td>
                    <td title={l.original ?? l.original_base64url}><code>{l.original ?? l.original_base64url}</code></td>
                  </tr>
                ))}
              </tbody>
            </table>
          </div>
        )}
    </Panel>
  );
}

function Partitions({ now }: { now: Status }) {
  const name = route.value.params.pipeline ?? rootName.value;
  const pipeline = now.pipelines.find((p) => p.name === name) ?? now.pipelines[0]!;
  const bytes = new Map(now.datasets[0]?.partitions.map((p) => [p.partition, p.bytes]));
  const isRoot = pipeline.name === rootName.value;
  return (
    <Panel title={<>Partitions<span class="title-note">{pipeline.name}</span></>} class="partitions">
      <div class="table-wrap" tabIndex={0} role="region" aria-label={`Partitions of ${pipeline.name}`}>
        <table>
          <thead><tr><th>Partition</th><th class="num">Offset</th><th class="num">End</th><th class="num">Behind</th><th class="num">Watermark</th>{isRoot && <th class="num">On disk</th>}</tr></thead>
          <tbody>
            {pipeline.partitions.map((p) => (
              <tr key={p.partition}>
                <td>{p.partition}</td><td class="num">{formatCount(p.offset)}</td><td class="num">{formatCount(p.end)}</td><td class="num">{formatCount(Math.max(0, p.end - p.offset))}</td>
                <td class="num"><When ms={p.watermark} part="seconds" /></td>{isRoot && <td class="num">{formatBytes(bytes.get(p.partition))}</td>}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </Panel>
  );
}

function Sinks({ now }: { now: Status }) {
  return (
    <Panel title="Sinks" class="sinks">
      {now.sinks.length === 0 ? <p class="panel-note">Results go to no store. Add <code>to: [statistics]</code> to a pipeline to keep them.</p> : (
        <ul class="sink-list">
          {now.sinks.map((sink) => {
            const behind = Math.max(0, sink.end - sink.offset);
            return (
              <li key={sink.name}>
                <span class={`dot ${sink.error ? 'is-bad' : 'is-ok'}`} aria-hidden="true" />
                <span>{sink.name}</span>
                <span class={sink.error ? 'tone-text-bad' : 'muted'} title={sink.error ?? `${formatCount(sink.offset)} of ${formatCount(sink.end)}`}>{sink.error ?? (behind === 0 ? 'up to date' : `${formatCompact(behind)} behind`)}</span>
              </li>
            );
          })}
        </ul>
      )}
    </Panel>
  );
}

function Server({ now, model }: { now: Status; model: Model }) {
  const bytes = now.datasets.reduce((sum, d) => sum + d.partitions.reduce((n, p) => n + p.bytes, 0), 0);
  return (
    <Panel title="Server" class="server">
      <dl class="facts">
        <div><dt>Version</dt><dd>{now.version}</dd></div>
        <div><dt>Up for</dt><dd>{formatDuration(now.uptime_ms)}</dd></div>
        <div><dt>Its clock</dt><dd><When ms={now.now} part="seconds" /></dd></div>
        <div><dt>Datasets</dt><dd>{now.datasets.map((d) => d.name).join(', ') || 'none'}</dd></div>
        <div><dt>Log on disk</dt><dd>{formatBytes(bytes)}</dd></div>
        <div><dt>Reference</dt><dd>{model.reference ? `${model.reference.name} v${model.reference.version}` : 'none'}</dd></div>
      </dl>
    </Panel>
  );
}
