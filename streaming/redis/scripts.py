"""The adapter's Lua: what Valkey or Redis must do in one step.

A script stops with one of our three errors: NOTOPIC, NOGROUP, and TAKEN (another reader moved the position).
They are sent with every call (a few hundred bytes): a server that was restarted or flushed has forgotten all scripts.
"""

from __future__ import annotations

# KEYS[1] topic, ARGV maxlen, key, value, key, value …; answers nothing if there is no topic.
PUBLISH = """
local id
for i = 2, #ARGV, 2 do
  id = redis.call('XADD', KEYS[1], 'NOMKSTREAM', 'MAXLEN', '~', ARGV[1], '*', 'k', ARGV[i], 'v', ARGV[i + 1])
  if not id then return false end
end
return id
"""

# KEYS[1] topic; 1 if it is new. Only a group can make an empty stream.
CREATE = """
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('XGROUP', 'CREATE', KEYS[1], 'first', '0', 'MKSTREAM')
redis.call('XGROUP', 'DESTROY', KEYS[1], 'first')
return 1
"""

_STATE = """
local function fields(flat)
  local found = {}
  for i = 1, #flat, 2 do found[flat[i]] = flat[i + 1] end
  return found
end

local function group_of(key, name)
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local group = fields(flat)
    if group['name'] == name then return group end
  end
end

-- Every record that is gone was trimmed, oldest first: nothing deletes from the middle.
local function trimmed(stream) return stream['entries-added'] - stream['length'] end

-- {ever added, trimmed of them, newest id, the group's position, records up to it}
local function state(key, name)
  local stream, group = fields(redis.call('XINFO', 'STREAM', key)), group_of(key, name)
  return {stream['entries-added'], trimmed(stream), stream['last-generated-id'],
          group['last-delivered-id'], group['entries-read'] or trimmed(stream)}
end

local function missing(name)
  for _, key in ipairs(KEYS) do
    if redis.call('EXISTS', key) == 0 then return redis.error_reply('NOTOPIC ' .. key) end
    if name and not group_of(key, name) then return redis.error_reply('NOGROUP ' .. name .. ' of ' .. key) end
  end
end
"""

# KEYS topics, ARGV group; makes the group if it is missing. What was trimmed before is no loss of a new group.
OPEN = (
    _STATE
    + """
local lost = missing(nil)
if lost then return lost end
local states = {}
for i, key in ipairs(KEYS) do
  if not group_of(key, ARGV[1]) then
    local stream = fields(redis.call('XINFO', 'STREAM', key))
    redis.call('XGROUP', 'CREATE', key, ARGV[1], '0', 'ENTRIESREAD', trimmed(stream))
  end
  states[i] = state(key, ARGV[1])
end
return states
"""
)

# KEYS topics, ARGV group.
STATE = (
    _STATE
    + """
local lost = missing(ARGV[1])
if lost then return lost end
local states = {}
for i, key in ipairs(KEYS) do states[i] = state(key, ARGV[1]) end
return states
"""
)

# KEYS topics, ARGV group; for each topic what the group has not passed, of what is still there; -1: there is no topic.
UNREAD = (
    _STATE
    + """
local left = {}
for i, key in ipairs(KEYS) do
  left[i] = -1
  if redis.call('EXISTS', key) == 1 then
    local stream, group = fields(redis.call('XINFO', 'STREAM', key)), group_of(key, ARGV[1])
    local read = group and group['entries-read'] or 0
    left[i] = stream['entries-added'] - math.max(read, trimmed(stream))
  end
end
return left
"""
)

# KEYS topics, ARGV group, then for each topic: lowest and highest position that it may have, the new one, its count.
COMMIT = (
    _STATE
    + """
local function after(a, b)
  local a_ms, a_seq = string.match(a, '(%d+)-(%d+)')
  local b_ms, b_seq = string.match(b, '(%d+)-(%d+)')
  if a_ms == b_ms then return tonumber(a_seq) > tonumber(b_seq) end
  return tonumber(a_ms) > tonumber(b_ms)
end

local function trim_to_slowest_group(key)
  local least
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', key)) do
    local position = fields(flat)['last-delivered-id']
    if not least or after(least, position) then least = position end
  end
  redis.call('XTRIM', key, 'MINID', '~', least)
end

local lost = missing(ARGV[1])
if lost then return lost end
for i, key in ipairs(KEYS) do
  local position = group_of(key, ARGV[1])['last-delivered-id']
  if after(ARGV[i * 4 - 2], position) or after(position, ARGV[i * 4 - 1]) then
    return redis.error_reply('TAKEN ' .. ARGV[1] .. ' of ' .. key .. ' to ' .. position)
  end
end
for i, key in ipairs(KEYS) do
  redis.call('XGROUP', 'SETID', key, ARGV[1], ARGV[i * 4], 'ENTRIESREAD', ARGV[i * 4 + 1])
  trim_to_slowest_group(key)
end
return 'OK'
"""
)
