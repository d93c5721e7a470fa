import { refusingAt, type Behaviour, type RefusalStage, type ReplyMaker } from './behaviour';
import { REPLIES } from './replies';

export interface LimitOptions {
    /** Visits that one address may make within the window. */
    visits: number;
    windowMs: number;
    stage?: Extract<RefusalStage, 'greeting' | 'mail'>;
    reply?: ReplyMaker;
}

/** Lets each address come so often within a sliding window; refused visits do not count. */
export function limitPerAddress({ visits, windowMs, stage = 'mail', reply = REPLIES.postfixTooManyConnections }: LimitOptions): Behaviour {
    const admitted = new Map<string, number[]>();
    return refusingAt(stage, 'limit', visit => {
        const recent = (admitted.get(visit.client) ?? []).filter(at => at > visit.at - windowMs);
        admitted.set(visit.client, recent);
        if (recent.length >= visits) {
            return reply(visit);
        }
        recent.push(visit.at);
        return undefined;
    });
}
