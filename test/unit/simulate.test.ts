/** The simulation in short: the same seed tells the same story, and the pool's memory is worth having. */
import { beforeAll, describe, expect, it } from 'vitest';
import type { Outcome } from '../../bench/simulate/measures';
import { PROVIDERS } from '../../bench/simulate/providers';
import { run, type Plan } from '../../bench/simulate/run';

const PLAN: Plan = { seed: 8, messages: 20_000, addresses: 64, hours: 4 };

const attemptsOf = ({ attempts, delivered, relayed }: Outcome) => attempts / (delivered + relayed);

describe('20,000 messages in four hours, over 64 addresses', () => {
    let [package_, random]: Outcome[] = [];

    beforeAll(async () => {
        package_ = await run('package', PLAN);
        random = await run('random', PLAN);
    }, 120_000);

    it('go the same way for the same seed', async () => {
        expect(await run('package', PLAN)).toEqual(package_);
    }, 60_000);

    it('are all accounted for', () => {
        for (const { wanted, delivered, relayed, bounced } of [package_, random] as Outcome[]) {
            expect(delivered + relayed + bounced).toBe(wanted);
        }
    });

    it('need fewer attempts, and provoke fewer wide blocks, with the memory than without', () => {
        expect(attemptsOf(package_ as Outcome)).toBeLessThan(attemptsOf(random as Outcome));
        expect((package_ as Outcome).widened).toBeLessThan((random as Outcome).widened);
    });
});

it('the shares of the providers are one', () => {
    expect(PROVIDERS.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 9);
});
