-- catalog_fold(text): the form in which names are compared and searched.
-- Lower case; compatibility forms of letters composed (NFKC); marks, tatweel and joiners dropped; Arabic letters
-- that Urdu writes otherwise mapped (yeh, kaf, heh, alef ...); digits of all scripts western; punctuation to one
-- space; "1 kg" and "1kg" alike.
CREATE OR REPLACE FUNCTION catalog_fold(value text) RETURNS text
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
  SELECT btrim(regexp_replace(regexp_replace(
    translate(
      regexp_replace(lower(normalize(value, NFKC)), U&'[\0640\0610-\061A\064B-\065F\0670\06D6-\06ED\200B-\200F\2060\FEFF]', '', 'g'),
      U&'\064A\0649\0626\0643\0647\0629\06C2\06D5\0623\0625\0622\0671\0624\0660\0661\0662\0663\0664\0665\0666\0667\0668\0669\06F0\06F1\06F2\06F3\06F4\06F5\06F6\06F7\06F8\06F9',
      U&'\06CC\06CC\06CC\06A9\06C1\06C1\06C1\06C1\0627\0627\0627\0627\0648\0030\0031\0032\0033\0034\0035\0036\0037\0038\0039\0030\0031\0032\0033\0034\0035\0036\0037\0038\0039'
    ),
    U&'[\0001-\002F\003A-\0040\005B-\0060\007B-\00A0\060C\061B\061F\06D4]+', ' ', 'g'),
    '([0-9]) (kg|g|gm|gr|ml|l|ltr|pc|pcs|dozen)( |$)', '\1\2\3', 'g'))
$$;
