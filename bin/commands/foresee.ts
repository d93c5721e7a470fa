import * as v from 'valibot';
import { freshState } from '../../lib/delivery/state';
import type { Classification } from '../../lib/delivery/types';
import { decide, type Situation, type Verdict } from '../../lib/policy/decide';
import { relaySchema } from '../../lib/settings/relay';
import { reputationSchema } from '../../lib/settings/reputation';

/** More steps than any default ladder has. */
const MAX_STEPS = 20;

function seconds(ms: number): string {
    return ms === 0 ? 'at once' : `after ${Math.round(ms / 1000)} s`;
}

function words(verdict: Verdict, code: number): string {
    switch (verdict.action) {
        case 'reroute':
            return `another address ${seconds(verdict.delay)}`;
        case 'defer':
            return `wait for ZoneMTA's schedule (${verdict.reason})`;
        case 'relay':
            return `the relay (${verdict.reason})`;
        case 'bounce':
            return `bounce (${verdict.reason})`;
        case 'core':
            return `ZoneMTA ${code >= 500 ? 'bounces it' : 'keeps it on its schedule'} (${verdict.reason})`;
    }
}

/**
 * The steps of a new delivery that gets this reply from every address: default settings, a pool that is never used up, a
 * relay behind it. The policy itself decides; nothing of it is repeated here.
 */
export function foresee(reply: Classification, code: number): string[] {
    const { attempts, delays } = v.parse(reputationSchema, {});
    const { relayAfter, maxAge } = v.parse(relaySchema, { zones: ['relay'] });
    const steps: string[] = [];
    let state = freshState('pool');
    while (steps.length < MAX_STEPS) {
        const situation: Situation = {
            state,
            attempt: { at: 0, address: '', family: 'ipv4', provider: '', mx: '', class: reply.class, rule: reply.rule, code, response: '', ms: 0 },
            reply,
            settings: { attempts, delays, relayAfter, maxAge },
            left: 'open',
            brake: 'free',
            stage: 'rcpt',
            relays: ['relay'],
            relayOff: false,
            zone: 'pool',
            schedule: [300_000],
            deferred: 0,
            now: 0,
            random: () => 0.5
        };
        const { verdict, state: next } = decide(situation);
        steps.push(words(verdict, code));
        if (verdict.action !== 'reroute') {
            break;
        }
        state = next;
    }
    return steps;
}
