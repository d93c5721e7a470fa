/** The pools of the zones that take part: as they are configured, and what a sender may draw from. */
import { checkHost } from '../checks/self-check';
import { HOST_CHECKS } from '../checks/finding';
import { judge } from '../checks/judge';
import { buildPool, type PoolAddress } from '../pool/pool';
import type { Settings } from '../settings/parse';
import type { PluginApp } from '../zonemta/app';
import { poolOf, senderZone, type HostConfig } from '../zonemta/host';
import type { Gate } from './gate';
import type { EventLog } from './log';

/** What the host has may change while it runs: addresses move, routers go away. */
export const CHECK_EVERY = 10 * 60_000;

/** Pools by zone, whether their addresses can be used or not. */
export function configuredPools(host: HostConfig, settings: Settings): Map<string, PoolAddress[]> {
    return new Map(settings.shared.zones.map(zone => [zone, configuredPool(host, settings, zone)]));
}

function configuredPool(host: HostConfig, { shared, randomIp }: Settings, zone: string): PoolAddress[] {
    return buildPool(poolOf(host, zone), { ...shared, weights: randomIp?.weights ?? {}, since: randomIp?.warmUp.since ?? {} });
}

/**
 * The pool of this sender's zone, without what cannot be used from this host; built anew from time to time, and when ZoneMTA
 * reloads its own (SIGHUP). What DNS says against an address comes as a suspension from main (self-checks.ts).
 */
export async function keepPool(app: PluginApp, host: HostConfig, settings: Settings, log: EventLog, gate: Pick<Gate<never>, 'state'>): Promise<(zone: string) => readonly PoolAddress[]> {
    const zone = senderZone();
    let pool: PoolAddress[] = [];
    let known: ReadonlySet<string> = new Set();
    const build = async () => {
        const all = settings.randomIp && settings.shared.zones.includes(zone) ? configuredPool(host, settings, zone) : [];
        const { out } = judge(new Map([[zone, all]]), await checkHost(all.map(entry => entry.address)), HOST_CHECKS.filter(check => settings.shared.leaveOut.some(name => name === check)));
        for (const [address, { check, detail }] of out) {
            if (check === 'bindable' && !known.has(address)) {
                log.event('ADDRESS_UNBINDABLE', { address, error: detail, zone });
            }
        }
        known = new Set(out.keys());
        pool = all.filter(entry => !out.has(entry.address));
    };
    await build();
    if (app.manager.context === 'sender') {
        setInterval(() => void build(), CHECK_EVERY).unref();
    }
    host.on?.('reload', () => {
        app.logger.info('SmartRelay', 'pools are read anew; other settings of smart-relay change with a restart (gate: %s)', gate.state);
        void build();
    });
    return asked => (asked === zone ? pool : []);
}
