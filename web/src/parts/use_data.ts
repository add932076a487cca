// Data of a view that is fetched when its inputs change. An answer to an older question never replaces a newer one.
import { useEffect, useState } from 'preact/hooks';

export interface Data<T> {
  value: T | null;
  error: unknown;
  loading: boolean;
  reload: () => void;
}

export function useData<T>(key: string | null, load: (abort: AbortSignal) => Promise<T>, everyMs = 0): Data<T> {
  const [state, setState] = useState<{ key: string | null; value: T | null; error: unknown; loading: boolean }>({ key: null, value: null, error: null, loading: key !== null });
  const [round, setRound] = useState(0);
  useEffect(() => {
    if (key === null) return undefined;
    const abort = new AbortController();
    setState((before) => ({ ...before, loading: true }));
    load(abort.signal).then(
      (value) => abort.signal.aborted || setState({ key, value, error: null, loading: false }),
      (error: unknown) => abort.signal.aborted || setState((before) => ({ key, value: before.key === key ? before.value : null, error, loading: false })),
    );
    return () => abort.abort();
  }, [key, round]);
  useEffect(() => {
    if (everyMs === 0 || key === null) return undefined;
    const timer = setInterval(() => !document.hidden && setRound((n) => n + 1), everyMs);
    return () => clearInterval(timer);
  }, [key, everyMs]);
  return { value: state.value, error: state.error, loading: state.loading, reload: () => setRound((n) => n + 1) };
}
