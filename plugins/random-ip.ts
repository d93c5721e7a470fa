/** Sends every delivery from an address that is drawn for it, at the pace of its provider. */
import { definePlugin } from '../lib/process/join';

export const { title, init } = definePlugin('random-ip', 'Smart Relay: random IP', ({ app, on, lib }) => {
    on('sender:fetch', (services, delivery) => lib().routeDelivery(services, delivery));
    on('sender:connection', (services, delivery, connection) => lib().knowRoute(services, delivery, connection));
    on('sender:delivered', (services, delivery) => lib().leavePace(services, app, delivery));
    on('sender:responseError', (services, delivery, _connection, err) => lib().leavePace(services, app, delivery, err));
});
