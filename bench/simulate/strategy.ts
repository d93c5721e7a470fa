/** What is compared: a way to choose the address of each attempt, and to go on after a refusal. */
import type { Reply } from '../../lib/delivery/types';
import type { PoolAddress } from '../../lib/pool/pool';
import type { Random } from '../../test/bed/internet/random';
import type { Message } from './traffic';
import type { World } from './world';

/** What comes next for a message that was not accepted. Times in ms from now. */
export type Next =
    | { kind: 'again'; delay: number }
    | { kind: 'relay'; delay: number }
    | { kind: 'bounce' };

/** Where an attempt leaves from, or what comes instead of one. */
export type Departure = { kind: 'from'; address: string } | Next;

/** One message under one strategy. */
export interface Course {
    depart(): Promise<Departure>;
    refused(address: string, reply: Reply): Promise<Next>;
    accepted(address: string): Promise<void>;
}

export interface Strategy {
    course(message: Message): Course;
    /** Is the address kept from this provider now? */
    suspends(provider: string, entry: PoolAddress): boolean;
    /** Called twice in each hour of the run. */
    tidy(): Promise<void>;
}

/** What a strategy is given. Only the oracle looks into the world. */
export interface Surroundings {
    pool: readonly PoolAddress[];
    world: World;
    now: () => number;
    random: Random;
}
