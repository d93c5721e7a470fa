import type { Behaviour } from './behaviour';

/** Takes the connection and never says a word; after `hangUpMs`, when given, it drops the connection. */
export function timeout(hangUpMs?: number): Behaviour {
    return { name: 'timeout', listens: 'silent', ...(hangUpMs === undefined ? {} : { hangUpMs }) };
}

/** Nothing listens: the connection is refused. */
export function closed(): Behaviour {
    return { name: 'closed', listens: 'closed' };
}
