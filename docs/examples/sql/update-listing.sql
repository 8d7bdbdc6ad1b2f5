-- A job {"listing": 42, "price": 9900} gives that listing a new price, and its return value is
-- the listing as it is then. Twice does no harm.
UPDATE listings
SET price = CAST($1::json->>'price' AS integer)
WHERE id = CAST($1::json->>'listing' AS integer)
RETURNING id, price, photos
