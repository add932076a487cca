// Shown when the server answers 401: a token, or the sign-in link that the program printed.
import { useState } from 'preact/hooks';
import { ApiError, signIn } from '../base/api';
import { Mark } from '../parts/icons';

// The server sends a link that did not sign in here: `/?sign-in=expired`.
const LINK_TROUBLES: Record<string, string> = {
  expired: 'That sign-in link has been used already or is older than five minutes. A server prints a new one when it starts; or paste a token.',
  refused: 'Too many sign-ins from this address have failed. Wait a minute, then paste a token.',
};

// Said once: a reload asks for the token without it.
function takeLinkTrouble(): string | null {
  const reason = new URLSearchParams(location.search).get('sign-in');
  if (reason === null) return null;
  history.replaceState(null, '', location.pathname + location.hash);
  return LINK_TROUBLES[reason] ?? null;
}

export function SignInView() {
  const [token, setToken] = useState('');
  const [trouble, setTrouble] = useState<string | null>(takeLinkTrouble);
  const [busy, setBusy] = useState(false);
  const submit = async (event: Event) => {
    event.preventDefault();
    if (token.trim() === '') {
      setTrouble('Paste the token first. It is in the file admin.token of the data directory.');
      return;
    }
    setBusy(true);
    setTrouble(null);
    try {
      await signIn(token.trim());
    } catch (error) {
      const refused = error instanceof ApiError && error.status === 401;
      setTrouble(refused ? 'That token is not known to this server. Copy the whole line from admin.token, without spaces.' : String((error as Error).message));
      setBusy(false);
    }
  };
  return (
    <main class="sign-in" id="main">
      <form onSubmit={(event) => void submit(event)}>
        <Mark size={44} />
        <h1>Sign in to sightline</h1>
        <p>Open the sign-in link that <code>sightline up</code> printed, or paste a token. The first one is in <code>admin.token</code> in the data directory.</p>
        <label class="field-label" for="token">Token</label>
        <input id="token" type="password" autocomplete="current-password" spellcheck={false} value={token} aria-invalid={trouble !== null} aria-describedby={trouble ? 'token-trouble' : undefined} onInput={(event) => setToken(event.currentTarget.value)} autofocus />
        {trouble && <p id="token-trouble" class="field-trouble" role="alert">{trouble}</p>}
        <button type="submit" class="button primary" disabled={busy}>{busy ? 'Signing in…' : 'Sign in'}</button>
      </form>
    </main>
  );
}
