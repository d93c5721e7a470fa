import { canonical } from '../addresses';
import { hashed, seeded, shuffled } from '../random';
import { refusingAt, type Behaviour, type RefusalStage, type ReplyMaker } from './behaviour';
import { REPLIES } from './replies';

/** Which clients: a share in [0, 1] of all addresses, a given set of addresses, or a predicate on the address. */
export type Clients = number | ReadonlySet<string> | ((client: string) => boolean);

/** Exactly the given share of a pool (rounded to whole addresses), chosen by the seed. */
export function shareOf(pool: readonly string[], share: number, seed: number): ReadonlySet<string> {
    return new Set(shuffled(pool.map(canonical), seeded(seed)).slice(0, Math.round(share * pool.length)));
}

/**
 * Refuses a share of the clients, always the same ones, and takes mail from the others. A plain number is a share on
 * average, by a hash of the address; for exactly that share of a known pool pass `shareOf(pool, share, seed)`.
 */
export function refuseShare(clients: Clients, stage: RefusalStage, reply: ReplyMaker, seed = 1): Behaviour {
    const refused = asPredicate(clients, seed);
    return refusingAt(stage, `refuse-share-${stage}`, visit => (refused(visit.client) ? reply(visit) : undefined));
}

/** Has a firewall that resets the connections of some clients. */
export function dropShare(clients: Clients, seed = 1): Behaviour {
    return { name: 'drop-share', drops: asPredicate(clients, seed) };
}

/** Refuses every address alike, as where the whole network is listed. */
export function refuseAll(stage: RefusalStage = 'rcpt', reply: ReplyMaker = REPLIES.spamhaus): Behaviour {
    return refusingAt(stage, `refuse-all-${stage}`, reply);
}

/** There are no such users; with `known`, all but these. */
export function unknownUser(known: (to: string) => boolean = () => false): Behaviour {
    return refusingAt('rcpt', 'unknown-user', visit => (known(visit.to) ? undefined : REPLIES.userUnknown(visit)));
}

/** Takes the message for spam when it has seen it. */
export function contentRefused(): Behaviour {
    return refusingAt('data', 'content-refused', REPLIES.contentRejected);
}

/** Says that the sender's domain does not allow this address. */
export function spfFail(): Behaviour {
    return refusingAt('rcpt', 'spf-fail', REPLIES.spfFailed);
}

function asPredicate(clients: Clients, seed: number): (client: string) => boolean {
    if (typeof clients === 'function') {
        return clients;
    }
    return typeof clients === 'number' ? client => hashed(client, seed) < clients : client => clients.has(client);
}
