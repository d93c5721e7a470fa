/** Which rspamd server gets a scan: decided with a clock and a random source of our own. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Group, type Member } from '../../lib/scan/group';

const [A, B, C] = ['http://a:1', 'http://b:1', 'http://c:1'] as const;

function makeGroup(urls: readonly string[] = [A, B, C], random = () => 0.5) {
    const clock = { now: 1_000_000 };
    const group = new Group(urls.map(url => ({ url, weight: 1 })), () => clock.now, random);
    const member = (url: string) => group.members.find(each => each.url === url) as Member;
    const failed = (url: string, kind: 'unreachable' | 'broken') => {
        group.begin(member(url));
        return group.fail(member(url), kind, 'why');
    };
    const scanned = (url: string, ms = 20) => {
        group.begin(member(url));
        group.succeed(member(url), ms);
    };
    return { clock, group, member, failed, scanned };
}

/** A repeatable source. */
function seeded(seed: number): () => number {
    let state = seed;
    return () => {
        state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
        return state / 2_147_483_648;
    };
}

describe('the load', () => {
    it('goes to the less loaded of two', () => {
        const { group, member } = makeGroup([A, B]);
        group.begin(member(A));
        group.begin(member(A));
        expect(group.pick([])?.url).toBe(B);
    });

    it('is shared by weight while scans are under way', () => {
        const clock = { now: 0 };
        const group = new Group([{ url: A, weight: 3 }, { url: B, weight: 1 }], () => clock.now, seeded(7));
        for (let n = 0; n < 40; n++) {
            group.begin(group.pick([]) as Member);
        }
        const [a, b] = group.members;
        expect((a?.outstanding ?? 0) / (b?.outstanding ?? 1)).toBeGreaterThan(2);
        expect((a?.outstanding ?? 0) / (b?.outstanding ?? 1)).toBeLessThan(4);
    });

    it('never goes to one server twice for a message', () => {
        fc.assert(
            fc.property(fc.integer({ min: 1 }), fc.array(fc.constantFrom('unreachable', 'broken', 'ok'), { maxLength: 30 }), (seed, fates) => {
                const { group, clock } = makeGroup([A, B, C], seeded(seed));
                for (const fate of fates) {
                    clock.now += 100;
                    const tried: Member[] = [];
                    for (let member = group.pick(tried); member; member = group.pick(tried)) {
                        expect(tried).not.toContain(member);
                        tried.push(member);
                        group.begin(member);
                        if (fate === 'ok') {
                            group.succeed(member, 10);
                        } else {
                            group.fail(member, fate, 'why');
                        }
                    }
                    expect(tried).toHaveLength(3);
                    expect(group.members.every(({ outstanding }) => outstanding === 0)).toBe(true);
                }
            })
        );
    });
});

describe('a server that fails', () => {
    it('is out at once when it refuses the connection', () => {
        const { group, failed } = makeGroup();
        expect(failed(A, 'unreachable')).toBe(true);
        expect(Array.from({ length: 20 }, () => group.pick([])?.url)).not.toContain(A);
    });

    it('is out after three bad answers in a row, not after three with a good one between', () => {
        const { member, failed, scanned } = makeGroup();
        failed(A, 'broken');
        failed(A, 'broken');
        scanned(A);
        failed(A, 'broken');
        failed(A, 'broken');
        expect(member(A).state).toBe('up');
        expect(failed(A, 'broken')).toBe(true);
        expect(member(A)).toMatchObject({ state: 'ejected', ejections: 1, lastError: 'why' });
    });

    it('is asked all the same when no other one is left', () => {
        const { group, failed } = makeGroup([A, B]);
        failed(A, 'unreachable');
        failed(B, 'unreachable');
        expect([A, B]).toContain(group.pick([])?.url);
    });

    it('is out after it was silent three times while another one had the verdict', () => {
        const { group, clock, member } = makeGroup();
        for (let n = 0; n < 3; n++) {
            const since = clock.now;
            group.begin(member(A));
            clock.now += 600;
            group.giveUp(member(A), since, true);
        }
        expect(member(A)).toMatchObject({ state: 'ejected', outstanding: 0, lastError: 'no answer in 600 ms' });
    });

    it('is not blamed when it answered others meanwhile, or when an earlier try had the verdict', () => {
        const { group, clock, member, scanned } = makeGroup();
        const since = clock.now;
        group.begin(member(A));
        group.begin(member(B));
        clock.now += 600;
        scanned(A);
        clock.now += 100;
        expect(group.giveUp(member(A), since, true)).toBe(false);
        expect(group.giveUp(member(B), since, false)).toBe(false);
        expect([member(A).failures, member(B).failures]).toEqual([0, 0]);
    });
});

describe('the way back', () => {
    it('is a ping after a pause, then one scan, then its share', () => {
        const { group, clock, member, failed } = makeGroup();
        failed(A, 'unreachable');
        expect(group.duePings()).toEqual([]);
        clock.now += 500;
        expect(group.duePings().map(({ url }) => url)).toEqual([A]);
        group.pinged(member(A));
        expect(group.pick([])?.url).toBe(A);
        group.begin(member(A));
        // one scan only
        expect(Array.from({ length: 20 }, () => group.pick([])?.url)).not.toContain(A);
        group.succeed(member(A), 10);
        expect(member(A).state).toBe('up');
    });

    it('does not begin with a scan that has failed elsewhere', () => {
        const { group, clock, member, failed } = makeGroup();
        failed(A, 'unreachable');
        clock.now += 500;
        group.duePings();
        group.pinged(member(A));
        expect(group.pick([member(B)])?.url).toBe(C);
    });

    it('takes longer pauses each time, but never more than three seconds', () => {
        const { group, clock, member, failed } = makeGroup([A, B], () => 1);
        failed(A, 'unreachable');
        const pauses: number[] = [];
        for (let n = 0; n < 6; n++) {
            pauses.push(member(A).pingAt - clock.now);
            clock.now = member(A).pingAt;
            expect(group.duePings()).toHaveLength(1);
        }
        expect(pauses).toEqual([600, 1200, 2400, 2400, 2400, 2400]);
    });

    it('ends with a failed probe scan', () => {
        const { group, clock, member, failed } = makeGroup();
        failed(A, 'unreachable');
        clock.now += 500;
        group.duePings();
        group.pinged(member(A));
        expect(failed(A, 'broken')).toBe(true);
        expect(member(A)).toMatchObject({ state: 'ejected', ejections: 2 });
    });
});

describe('a scan that waits', () => {
    it('is doubled half a second after its server last answered anybody', () => {
        const { group, clock, member, scanned } = makeGroup();
        const since = clock.now;
        group.begin(member(A));
        expect(group.hedgeAt([{ member: member(A), since }])).toBe(since + 500);
        clock.now += 400;
        scanned(A);
        expect(group.hedgeAt([{ member: member(A), since }])).toBe(clock.now + 500);
    });

    it('is asked of a third server when two have answered nobody for two seconds', () => {
        const { group, clock, member, scanned } = makeGroup();
        const tries = [A, B].map(url => ({ member: member(url), since: clock.now }));
        tries.forEach(one => group.begin(one.member));
        clock.now += 700;
        scanned(B);
        expect(group.hedgeAt(tries)).toBe(clock.now + 2000);
    });

    it('is doubled when it takes four times as long as the slowest of the group, whoever is answered', () => {
        const { group, clock, member, scanned } = makeGroup();
        scanned(B, 600);
        const since = clock.now;
        group.begin(member(A));
        clock.now += 2300;
        scanned(A, 20);
        expect(group.hedgeAt([{ member: member(A), since }])).toBe(since + 2400);
    });
});
