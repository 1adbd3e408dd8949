import collections

collections.defaultdct(list)
