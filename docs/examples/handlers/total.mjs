#!/usr/bin/env node
// total.mjs - adds up an order: {"items": [{"price": 1.5, "count": 2}, ...]}
//
//   ox-worker 'orders=exec:./total.mjs'
//
// One program for each job. Node starts slowly: count.mjs shows how it starts only once.
import { readFileSync } from 'node:fs';

const order = JSON.parse(readFileSync(0, 'utf8'));
if (!order.items?.length) {
    console.error('the order has no items');
    process.exit(65); // fails for good
}
const cents = order.items.reduce((sum, { price, count }) => sum + Math.round(price * 100) * count, 0);
console.log(JSON.stringify({ total: cents / 100 }));
