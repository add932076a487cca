// Shown when the server answers 401: a token, or the sign-in link that the program printed.
import { useState } from 'preact/hooks';
import { ApiError, signIn } from '../base/api';
import { Mark } from '../parts/icons';

export function SignInView() {
  const [token, setToken] = useState('');
  const [trouble, setTrouble] = useState<string | null>(null);
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
