import { render } from 'preact';
import './styles/fonts.css';
import './styles/base.css';
import './styles/shell.css';
import './styles/parts.css';
import './styles/views.css';
import { App } from './app';

render(<App />, document.getElementById('app')!);
