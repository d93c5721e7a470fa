/**
 * The gate of a process: closed until every plugin of ours has joined and the settings are proven, and closed for good when
 * anything is wrong. ZoneMTA only logs a plugin that fails to load, and would go on without it: mail would leave unscanned,
 * or from one address. So the receiver refuses with 451, and senders hold their mail, until somebody mends it.
 */
export type GateState = 'waiting' | 'open' | 'closed';

export class Gate<Services> {
    private readonly opened: Promise<Services>;
    private open: (services: Services) => void = () => undefined;
    private current: GateState = 'waiting';
    private readonly reasons: string[] = [];
    private passed: Services | undefined;

    constructor() {
        this.opened = new Promise(resolve => (this.open = resolve));
    }

    get state(): GateState {
        return this.current;
    }

    /** Why it is closed, one line a fault. */
    get faults(): readonly string[] {
        return this.reasons;
    }

    /** The services, once the gate is open. */
    get services(): Services | undefined {
        return this.passed;
    }

    pass(services: Services): void {
        if (this.current === 'waiting') {
            this.current = 'open';
            this.passed = services;
            this.open(services);
        }
    }

    close(faults: readonly string[]): void {
        this.current = 'closed';
        this.reasons.push(...faults.filter(fault => !this.reasons.includes(fault)));
    }

    /** Settles when the gate opens; never when it stays closed. A sender's delivery waits here, and nothing is lost. */
    whenOpen(): Promise<Services> {
        return this.opened;
    }

    /** The services when the gate is open, or opens within `ms`; else undefined. */
    async within(ms: number): Promise<Services | undefined> {
        if (this.current === 'closed') {
            return undefined;
        }
        let timer: NodeJS.Timeout | undefined;
        const timeout = new Promise<undefined>(resolve => (timer = setTimeout(() => resolve(undefined), ms)));
        const services = await Promise.race([this.opened, timeout]);
        clearTimeout(timer);
        return services;
    }
}
