/** What happens next: a binary heap by time; of equal times the one that was put in first comes out first. */
export class Agenda<Event> {
    private readonly times: number[] = [];
    private readonly orders: number[] = [];
    private readonly events: Event[] = [];
    private order = 0;

    /** Time of the next event; Infinity when there is none. */
    get next(): number {
        return this.times[0] ?? Infinity;
    }

    put(time: number, event: Event): void {
        const order = this.order++;
        let place = this.events.length;
        while (place > 0) {
            const above = (place - 1) >> 1;
            if (!this.isBefore(time, order, above)) {
                break;
            }
            this.move(above, place);
            place = above;
        }
        this.set(place, time, order, event);
    }

    take(): Event | undefined {
        const first = this.events[0];
        const [time, order, event] = [this.times.pop(), this.orders.pop(), this.events.pop()];
        if (time === undefined || order === undefined || event === undefined || this.events.length === 0) {
            return first;
        }
        let place = 0;
        for (;;) {
            const left = 2 * place + 1;
            const right = left + 1;
            if (left >= this.events.length) {
                break;
            }
            const below = right < this.events.length && this.isBefore(this.times[right] as number, this.orders[right] as number, left) ? right : left;
            if (this.isBefore(time, order, below)) {
                break;
            }
            this.move(below, place);
            place = below;
        }
        this.set(place, time, order, event);
        return first;
    }

    private isBefore(time: number, order: number, place: number): boolean {
        const other = this.times[place] as number;
        return time < other || (time === other && order < (this.orders[place] as number));
    }

    private move(from: number, to: number): void {
        this.set(to, this.times[from] as number, this.orders[from] as number, this.events[from] as Event);
    }

    private set(place: number, time: number, order: number, event: Event): void {
        this.times[place] = time;
        this.orders[place] = order;
        this.events[place] = event;
    }
}
