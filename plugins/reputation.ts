/** Decides what a refusal means: another address, at once or later, ZoneMTA's schedule, the relay, or the end. */
import { definePlugin } from '../lib/process/join';

export const { title, init } = definePlugin('reputation', 'Smart Relay: reputation', ({ app, on, lib }) => {
    on('sender:connect', (services, delivery, options) => lib().connectFromPool(services, delivery, options));
    on('sender:responseError', (services, delivery, connection, err) => lib().handleRefusal(services, app, delivery, connection, err));
});
