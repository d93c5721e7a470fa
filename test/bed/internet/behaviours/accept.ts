import type { Behaviour } from './behaviour';

/** Takes everything from everyone. */
export function accept(): Behaviour {
    return { name: 'accept' };
}
