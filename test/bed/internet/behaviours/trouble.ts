import { refusingAt, type Behaviour } from './behaviour';
import { REPLIES } from './replies';

/** Has a problem of its own with the first `times` attempts for each recipient, then accepts. */
export function systemTrouble(times: number): Behaviour {
    const seen = new Map<string, number>();
    return refusingAt('rcpt', 'system-trouble', visit => {
        const before = seen.get(visit.to) ?? 0;
        seen.set(visit.to, before + 1);
        return before < times ? REPLIES.systemTrouble(visit) : undefined;
    });
}
