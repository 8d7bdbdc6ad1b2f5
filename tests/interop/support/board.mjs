/*
 * board.mjs - bull-board over queues, asked as a browser asks it.
 */
import assert from 'node:assert/strict';
import bullBoard from '@bull-board/api';
import adapters from '@bull-board/api/bullMQAdapter';

/* A server adapter that keeps the routes, to be called like a browser would. */
export function openBoard(queues) {
    const board = {};
    const self = new Proxy({}, {
        get: (_, name) => (value, more) => {
            board[name] = more ?? value;
            return self;
        },
    });
    bullBoard.createBullBoard({ queues: queues.map((queue) => new adapters.BullMQAdapter(queue)),
        serverAdapter: self, options: { uiBasePath: '/' } });
    return async (method, route, { params = {}, query = {} } = {}) => {
        const found = board.setApiRoutes.find((one) => one.route === route &&
            [one.method].flat().includes(method));
        assert.ok(found, `bull-board has no ${method} ${route}`);
        const answer = await found.handler({ queues: board.setQueues, params, query, body: {},
            headers: {}, uiConfig: {} });
        assert.ok((answer.status ?? 200) < 400, `${route}: ${JSON.stringify(answer)}`);
        return answer.body;
    };
}
