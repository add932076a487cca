// A searchable choice after the ARIA combobox pattern: typing filters, arrows move, Enter chooses, Escape closes.
import { useId, useMemo, useRef, useState } from 'preact/hooks';
import { Icon } from './icons';
import { filterOptions, type Option } from './options';

export interface ComboboxProps {
  label: string;
  options: Option[];
  value: string | null;
  placeholder: string;
  onChange: (value: string | null) => void;
  id?: string;
  hideLabel?: boolean;
  clearable?: boolean;
  allowFree?: boolean;     // a typed text that is no option counts as well
}

const SHOWN = 60;

export function Combobox({ label, options, value, placeholder, onChange, id, hideLabel, clearable, allowFree }: ComboboxProps) {
  const own = useId();
  const inputId = id ?? `${own}-input`;
  const [text, setText] = useState<string | null>(null);  // null: not being typed in
  const [open, setOpen] = useState(false);
  const [active, setActive] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const found = useMemo(() => (open ? filterOptions(options, text ?? '') : []), [options, text, open]);
  const shown = found.slice(0, SHOWN);
  const current = value === null ? '' : (options.find((o) => o.value === value)?.label ?? value);

  const close = () => {
    setOpen(false);
    setText(null);
  };
  const choose = (option: Option | undefined) => {
    if (option) onChange(option.value);
    else if (allowFree && text?.trim()) onChange(text.trim());
    close();
  };
  const move = (to: number) => {
    const next = Math.max(0, Math.min(shown.length - 1, to));
    setActive(next);
    list.current?.children[next]?.scrollIntoView({ block: 'nearest' });
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowDown') { open ? move(active + 1) : setOpen(true); }
    else if (event.key === 'ArrowUp') move(active - 1);
    else if (event.key === 'PageDown') move(active + 8);
    else if (event.key === 'PageUp') move(active - 8);
    else if (event.key === 'Enter' && open) choose(shown[active]);
    else if (event.key === 'Escape' && open) close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  };
  return (
    <div class="combobox">
      <label for={inputId} class={hideLabel ? 'visually-hidden' : 'field-label'}>{label}</label>
      <div class="combobox-field">
        <Icon name="search" size={14} />
        <input
          id={inputId} type="text" role="combobox" autocomplete="off" spellcheck={false} placeholder={placeholder}
          aria-expanded={open} aria-controls={`${own}-list`} aria-autocomplete="list"
          aria-activedescendant={open && shown[active] ? `${own}-${active}` : undefined}
          value={text ?? current}
          onFocus={(event) => event.currentTarget.select()}
          onClick={() => setOpen(true)}
          onInput={(event) => { setText(event.currentTarget.value); setActive(0); setOpen(true); }}
          onKeyDown={onKeyDown} onBlur={close}
        />
        {clearable && value !== null && (
          <button type="button" class="icon-button small" aria-label={`Clear ${label.toLowerCase()}`} onClick={() => onChange(null)}><Icon name="cross" size={12} /></button>
        )}
      </div>
      <ul id={`${own}-list`} role="listbox" aria-label={label} ref={list} class="combobox-list" hidden={!open}>
        {shown.map((option, i) => (
          <li
            key={option.value} id={`${own}-${i}`} role="option" aria-selected={i === active} class={i === active ? 'is-active' : ''}
            onMouseDown={(event) => { event.preventDefault(); choose(option); }} onMouseMove={() => setActive(i)}
          >
            <span>{option.label}</span>
            {option.hint && <small>{option.hint}</small>}
          </li>
        ))}
        {found.length > SHOWN && <li class="combobox-more" role="presentation">{found.length - SHOWN} more: type to narrow down</li>}
        {open && found.length === 0 && <li class="combobox-more" role="presentation">{allowFree && text?.trim() ? `Press Enter to use “${text.trim()}”` : 'Nothing fits. Try fewer letters.'}</li>}
      </ul>
    </div>
  );
}
