/**
 * ZoneMTA's plugin object as this package uses it, and the registration of hooks. The official types lack the plugin
 * manager and accept any string as a hook's name; a misspelt hook would never run and nobody would know.
 */
import type { ZoneMtaHookArgumentMap, ZoneMtaHookName, ZoneMtaPluginTools } from '@zone-eu/types';

export interface HostPlugin {
    key: string;
    path: string;
}

/** restify's server, as far as a route needs it. A handler with two arguments has to be async. */
export interface HostApiServer {
    server: Record<'get' | 'post' | 'del', (path: string, handler: (request: HostRequest, response: HostResponse) => Promise<void>) => unknown>;
}

export interface HostRequest {
    params: Record<string, unknown>;
    query: Record<string, unknown>;
    body?: unknown;
    header(name: string): string | undefined;
}

export interface HostResponse {
    json(code: number, body: unknown): void;
}

export type Route = (request: HostRequest) => Promise<{ code: number; body: unknown }>;

export interface PluginManager {
    context: 'main' | 'receiver' | 'sender';
    /** The plugins of this context, in the order in which they are loaded (@zone-eu/wild-plugins, index.js). */
    plugins: HostPlugin[];
    options: { plugins?: Record<string, unknown> };
    apiServer?: HostApiServer;
}

export type PluginApp = ZoneMtaPluginTools & { manager: PluginManager };

export type Hook<Name extends ZoneMtaHookName> = (...args: ZoneMtaHookArgumentMap[Name]) => Promise<void>;

/** An answer that a hook means to give: it passes through to ZoneMTA, where every other error of ours stops. */
export class Refusal extends Error {
    constructor(
        readonly responseCode: number,
        message: string
    ) {
        super(message);
        // ZoneMTA logs errors whose name ends in "Error" with a stack
        this.name = 'SmartRelayRefusal';
    }
}

/** A connection that a hook could not make: for ZoneMTA a temporary network error of this attempt. */
export class ConnectFailure extends Error {
    readonly category = 'network';
    readonly temporary = true;
    readonly response: string;

    constructor(cause: Error) {
        super(cause.message, { cause });
        this.name = 'SmartRelayConnectFailure';
        this.response = `Network error: ${cause.message}`;
    }
}

/**
 * Registers a hook that never throws into ZoneMTA: a bug of ours is logged with the message's id, and ZoneMTA goes on
 * as if the hook were not there. Only an error of `app.reject`, a Refusal or a ConnectFailure gets through.
 */
export function addHook<Name extends ZoneMtaHookName>(app: PluginApp, name: Name, hook: Hook<Name>): void {
    app.addHook(name, async (...args: readonly unknown[]) => {
        // the last argument is ZoneMTA's callback, not needed beside a promise
        const own = args.slice(0, -1) as ZoneMtaHookArgumentMap[Name];
        try {
            await hook(...own);
        } catch (err) {
            if (isIntended(err)) {
                throw err;
            }
            app.logger.error('SmartRelay', '%s: a fault in our hook, ZoneMTA goes on without it: id=%s %s', name, idOf(own[0]), err instanceof Error ? err.stack : String(err));
        }
    });
}

/**
 * Adds a route to ZoneMTA's API server. `app.addAPI` of @zone-eu/wild-plugins 1.0.10 calls restify's method unbound and never
 * registers anything. A fault of ours answers 500 without a word of its text.
 */
export function addRoute(app: PluginApp, method: 'get' | 'post' | 'del', path: string, route: Route): void {
    app.manager.apiServer?.server[method](path, async (request, response) => {
        try {
            const { code, body } = await route(request);
            response.json(code, body);
        } catch (err) {
            app.logger.error('SmartRelay', '%s %s: %s', method, path, (err as Error).stack);
            response.json(500, { error: 'internal error, see the log', code: 'INTERNAL' });
        }
    });
}

/** An answer to the client that a hook meant to give. */
export function isIntended(err: unknown): boolean {
    return err instanceof Refusal || err instanceof ConnectFailure || (err instanceof Error && ['SMTPReject', 'SMTPResponse'].includes(err.name));
}

function idOf(subject: unknown): string {
    const { id, seq } = (subject ?? {}) as { id?: unknown; seq?: unknown };
    return typeof id === 'string' ? (typeof seq === 'string' ? `${id}.${seq}` : id) : '-';
}
