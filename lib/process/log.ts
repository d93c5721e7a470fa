/** One GELF event a decision, through ZoneMTA's own log. Codes are short and stable: docs/log-codes.md lists them. */
import type { PluginApp } from '../zonemta/app';

export const LOG_CODES = {
    GATE_CLOSED: 'the settings are wrong, or a plugin did not load: mail is held',
    READY: 'the process is ready',
    SCAN_REJECTED: 'a message was refused by the scan',
    SCAN_DEFERRED: 'a message was put off by the scan, or no scan was possible',
    SCAN_ACCEPTED: 'a message passed the scan, or was accepted unscanned by the operator\'s choice',
    SCANNER_EJECTED: 'an rspamd server fails and gets no scans until it answers again',
    SCANNER_RETURNED: 'an rspamd server has given a verdict and is back',
    ATTEMPT_REROUTE: 'a refused delivery goes out again from another address',
    ATTEMPT_DEFER: 'a refused delivery waits for its next time in the schedule',
    ATTEMPT_RELAY: 'a delivery moves to a relay zone',
    ATTEMPT_BOUNCE: 'a delivery has failed for good',
    ATTEMPT_CORE: 'ZoneMTA decides about a refused delivery by itself',
    DELIVERED: 'a delivery was accepted',
    BUDGET_SPENT: 'ALARM: the reroute budget of a provider or sender is spent',
    RELAY_ACCOUNT: 'ALARM: the relay refuses us rather than the message',
    SUSPENDED: 'an address or more of ours is not used at a provider for a while',
    RESUMED: 'a suspension is over: a delivery was accepted, our checks pass again, or the operator ended it',
    PROVIDER_REFUSES: 'ALARM: nothing of ours is accepted at a provider',
    DELIVERY_FREED: 'a delivery of a sender that was killed is taken up again',
    INSTANCE_TWICE: 'ALARM: two main processes have the same queue.instanceId',
    SWITCH: 'a runtime switch was thrown',
    RULES_TAKEN: 'changed response rules are in force',
    RULES_REFUSED: 'ALARM: changed response rules are faulty; the last good ones stay in force',
    ADDRESS_UNBINDABLE: 'a pool address cannot be bound on this host and is left out',
    CHECK_FAILED: 'a pool address fails one of our checks',
    CHECK_PASSED: 'a pool address passes a check again',
    CHECK_DOUBTED: 'ALARM: a check would leave out too much of a pool, and leaves out nothing',
    PTR_WRONG: 'ALARM: an address was refused for its PTR record, and our own look-up agrees',
    POOL_EMPTY: 'ALARM: a zone has no usable address; ZoneMTA chooses from what is configured',
    REDIS_AWAY: 'Redis does not answer: budgets, switches and suspensions are what this process knows',
    HISTORY_LOST: 'an event could not be written to the history',
    TTL_MISSING: 'the MongoDB server has no TTL index: old history is swept instead'
} as const;

export type LogCode = keyof typeof LOG_CODES;
export type LogFields = Record<string, string | number | undefined>;

const WARN_EVERY = 30_000;
const MAX_SUBJECTS = 1000;

export class EventLog {
    private readonly warned = new Map<string, number>();

    constructor(
        private readonly app: PluginApp,
        private readonly now: () => number
    ) {}

    /** `fields` become `_smart_relay_NAME`; ZoneMTA drops those that are 0, so numbers are written as text. */
    event(code: LogCode, fields: LogFields): void {
        const entries = Object.entries({ code, ...fields }).flatMap(([name, value]) => (value === undefined ? [] : [[`_smart_relay_${name}`, String(value)] as const]));
        this.app.loggelf({ short_message: `[SMART_RELAY_${code}] ${LOG_CODES[code]}`, ...Object.fromEntries(entries) });
    }

    /** An event that would come with every message while its cause lasts: once in half a minute for each subject. */
    warn(code: LogCode, fields: LogFields, subject = ''): void {
        const key = `${code} ${subject}`;
        const last = this.warned.get(key);
        if (last !== undefined && this.now() - last < WARN_EVERY) {
            return;
        }
        if (this.warned.size >= MAX_SUBJECTS) {
            this.warned.clear();
        }
        this.warned.set(key, this.now());
        this.event(code, fields);
    }
}
