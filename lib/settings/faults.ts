/** One wrong option. */
export interface Fault {
    /** Key of the plugin's table as it stands in the configuration: "modules/zonemta-smart-relay/relay". */
    table: string;
    /** Path of the option in its table: `maxAge`, `zones[1]`, `actions."soft reject"`. Empty when the table itself is meant. */
    key: string;
    /** One line of at most 60 characters: "(secret)" for a secret, "(not shown)" for what may be one, "nothing" when it is missing. */
    found: string;
    /** What would be right. */
    allowed: string;
    /** All of it for the operator, one line. */
    message: string;
}

const MAX_FOUND = 60;
const SECRET = '(secret)';
const SECRET_OPTIONS = ['password', 'apiToken'];

/** `Fault.found` of a missing option. */
export const NOTHING = 'nothing';

/** `Fault.found` of an unknown option: a mistyped secret is a secret too. */
export const NOT_SHOWN = '(not shown)';

/**
 * A fault with its message.
 *
 * @param path names and indexes down to the option
 * @param text what the message says after the value; without it, that `allowed` is expected
 */
export function fault(
    table: string,
    path: readonly (string | number)[],
    found: string,
    allowed: string,
    text = `expected ${allowed}`
): Fault {
    const key = path.map((step, index) => keyText(step, index === 0)).join('');
    return { table, key, found, allowed, message: `plugins.${quote(table)}: ${subject(key, found)}: ${oneLine(text)}` };
}

function subject(key: string, found: string): string {
    switch (found) {
        case NOTHING:
            return `${key} is missing`;
        case NOT_SHOWN:
            return key;
        default:
            return key === '' ? found : `${key} = ${found}`;
    }
}

/**
 * A value as `Fault.found` shows it. The value of a secret option is never shown, wherever it stands, nor is the login of a URL.
 *
 * @param path names and indexes down to the value
 */
export function foundText(value: unknown, path: readonly (string | number)[] = []): string {
    if (path.some(step => SECRET_OPTIONS.includes(String(step)))) {
        return SECRET;
    }
    const text = typeof value === 'number' ? String(value) : (JSON.stringify(value, withoutSecrets) ?? typeof value);
    return bounded(oneLine(text));
}

function withoutSecrets(key: string, value: unknown): unknown {
    if (SECRET_OPTIONS.includes(key)) {
        return SECRET;
    }
    if (typeof value === 'bigint') {
        return String(value);
    }
    return typeof value === 'string' ? value.replace(/^([a-z]+:\/\/)?.*:.*@/is, `$1${SECRET}@`) : value;
}

function keyText(step: string | number, first: boolean): string {
    if (typeof step === 'number') {
        return `[${step}]`;
    }
    return (first ? '' : '.') + (/^[\w-]{1,60}$/.test(step) ? step : quote(step));
}

function quote(text: string): string {
    return bounded(oneLine(JSON.stringify(text)));
}

/** JSON leaves some line ends and control characters as they are. */
function oneLine(text: string): string {
     
    return text.replace(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, ' ');
}

function bounded(text: string): string {
    return text.length > MAX_FOUND ? `${text.slice(0, MAX_FOUND - 1)}…` : text;
}
