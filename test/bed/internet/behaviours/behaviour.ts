import type { Stage, Visit } from '../ledger';
import type { Reply } from '../smtp';

/** The stages at which a behaviour can refuse. */
export type RefusalStage = Exclude<Stage, 'auth'>;

/** A refusing reply, and which of several behaviours at a destination it comes from. */
export interface Refusal extends Reply {
    by?: string;
}

/** Fills the real client address and the like into a reply's text. */
export type ReplyMaker = (visit: Visit) => Reply;

/**
 * How a destination treats its clients. At each stage the function of that name may refuse; what none refuses is accepted.
 * A behaviour with a memory (limits, greylists) belongs to one destination: make one for each.
 */
export interface Behaviour {
    readonly name: string;
    /** `smtp` is the default; `silent` accepts the connection and never greets; `closed` does not listen. */
    readonly listens?: 'smtp' | 'silent' | 'closed';
    /** A silent one drops the connection after this time; by default it leaves that to the client. */
    readonly hangUpMs?: number;
    /** Resets the connections of these clients without a word. */
    readonly drops?: (client: string) => boolean;
    greeting?: (visit: Visit) => Refusal | undefined;
    mail?: (visit: Visit) => Refusal | undefined;
    rcpt?: (visit: Visit) => Refusal | undefined;
    /** Asked at the end of data. */
    data?: (visit: Visit) => Refusal | undefined;
}

/** The behaviour that refuses at one stage only. */
export function refusingAt(stage: RefusalStage, name: string, decide: (visit: Visit) => Refusal | undefined): Behaviour {
    return { name, [stage]: decide };
}

/** Several behaviours at one destination; the first that refuses decides. */
export function all(...behaviours: readonly Behaviour[]): Behaviour {
    const ask = (stage: RefusalStage) => (visit: Visit) => {
        for (const behaviour of behaviours) {
            const reply = behaviour[stage]?.(visit);
            if (reply) {
                return { by: behaviour.name, ...reply };
            }
        }
        return undefined;
    };
    return {
        name: behaviours.map(({ name }) => name).join('+'),
        listens: behaviours.find(({ listens }) => listens && listens !== 'smtp')?.listens ?? 'smtp',
        drops: client => behaviours.some(behaviour => behaviour.drops?.(client)),
        greeting: ask('greeting'),
        mail: ask('mail'),
        rcpt: ask('rcpt'),
        data: ask('data')
    };
}
