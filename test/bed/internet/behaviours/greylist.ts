import { refusingAt, type Behaviour, type ReplyMaker } from './behaviour';
import { REPLIES } from './replies';

/** Name of the behaviour in the ledger. */
export const GREYLIST = 'greylist';

/**
 * Puts each new triplet (address, sender, recipient) off until `delayMs` after its first visit. Unlike postgrey, which
 * lumps a /24 together, every other address starts the wait anew: the stricter servers do so.
 */
export function greylist(delayMs: number, reply: ReplyMaker = REPLIES.postgrey): Behaviour {
    const firstSeen = new Map<string, number>();
    return refusingAt('rcpt', GREYLIST, visit => {
        const triplet = JSON.stringify([visit.client, visit.from.toLowerCase(), visit.to.toLowerCase()]);
        const first = firstSeen.get(triplet) ?? visit.at;
        firstSeen.set(triplet, first);
        return first === visit.at || visit.at < first + delayMs ? reply(visit) : undefined;
    });
}
