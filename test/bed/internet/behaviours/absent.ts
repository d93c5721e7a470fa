import type { Behaviour } from './behaviour';

/** Takes the connection and never says a word. */
export function timeout(): Behaviour {
    return { name: 'timeout', listens: 'silent' };
}

/** Nothing listens: the connection is refused. */
export function closed(): Behaviour {
    return { name: 'closed', listens: 'closed' };
}
