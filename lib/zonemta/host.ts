/**
 * What of ZoneMTA's own configuration no plugin is given: zones, pools and the retry schedule. They are in the
 * configuration object of the host (wild-config, or @zone-eu/wild-config from 3.10.11 on). A second copy of that module
 * would read other files, so only the one that the host has loaded is used.
 */
import { createRequire } from 'node:module';

export interface HostZone {
    host?: string;
    auth?: unknown;
    pool?: unknown;
    disabled?: boolean;
    secure?: boolean;
    ignoreIPv6?: boolean;
    port?: number;
}

export interface HostConfig {
    zones?: Record<string, HostZone>;
    pools?: Record<string, { address: string; name?: string }[]>;
    queue?: { deferTimes?: number[]; instanceId?: string };
    nameservers?: string | string[] | false;
    on?(event: 'reload', listener: () => void): void;
}

const MINUTE = 60_000;

/** ZoneMTA's own schedule, minutes (lib/sender.js, DEFAULT_DEFER_TIMES); `queue.deferTimes` replaces it, in milliseconds. */
const DEFER_MINUTES = [5, 7, 8, 25, 75, 120, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240, 240];

/**
 * The configuration object that this process of ZoneMTA runs on.
 *
 * @throws Error when the process is no ZoneMTA
 */
export function hostConfig(): HostConfig {
    const main = require.main?.filename;
    const hostRequire = createRequire(main ?? __filename);
    for (const name of ['@zone-eu/wild-config', 'wild-config']) {
        try {
            const loaded = hostRequire.cache[hostRequire.resolve(name)];
            if (loaded) {
                return loaded.exports as HostConfig;
            }
        } catch {
            // this release has the other name
        }
    }
    throw new Error('the configuration of ZoneMTA was not found in this process');
}

/** ZoneMTA's retry schedule, ms. */
export function deferTimes(config: HostConfig): number[] {
    return config.queue?.deferTimes ?? DEFER_MINUTES.map(minutes => minutes * MINUTE);
}

/** The name servers that ZoneMTA's senders use; none: those of the system (lib/ip-tools.js). */
export function nameserversOf(config: HostConfig): string[] {
    return [config.nameservers || []].flat();
}

/** The pool entries of a zone: by name or in place (lib/sending-zone.js). ZoneMTA lowers zone names, whatever the configuration says. */
export function poolOf(config: HostConfig, zone: string): { address: string; name?: string }[] {
    const pool = zoneConfig(config, zone)?.pool;
    const entries: unknown = typeof pool === 'string' ? (config.pools?.[pool] ?? pool) : pool;
    return [entries ?? []].flat().map((entry: unknown) => (typeof entry === 'string' ? { address: entry } : (entry as { address: string; name?: string })));
}

/** The configuration of a zone by the name that deliveries carry. */
export function zoneConfig(config: HostConfig, zone: string): HostZone | undefined {
    const name = Object.keys(config.zones ?? {}).find(key => key.toLowerCase().trim() === zone);
    return name === undefined ? undefined : config.zones?.[name];
}

/** The zone of this sender process (services/sender.js). */
export function senderZone(argv: readonly string[] = process.argv): string {
    const flag = '--senderName=';
    return (argv.find(word => word.startsWith(flag)) ?? flag).slice(flag.length);
}

/** Port of a zone's connections (lib/sender.js). */
export function portOf(config: HostConfig, zone: string): number {
    return zoneConfig(config, zone)?.port ?? 25;
}
