-- Run by test_neovim.py inside a real Neovim that has read docs/neovim/init.lua: prints what it saw, as JSON.
local file = _G.arg[1]
local seen, told = {}, {}
vim.notify = function(message)
  table.insert(told, message)
end

local function wait(what, done)
  if not vim.wait(120000, done, 50) then
    io.write(vim.json.encode({ missing = what, seen = seen, told = told }) .. '\n')
    vim.cmd('cquit 1')
  end
end

vim.cmd.edit(file)
vim.bo.filetype = 'python'
local buffer = vim.api.nvim_get_current_buf()
wait('client', function()
  local client = vim.lsp.get_clients({ name = 'inkling', bufnr = buffer })[1]
  return client and client.initialized
end)
local client = vim.lsp.get_clients({ name = 'inkling', bufnr = buffer })[1]

wait('diagnostics', function()
  return #vim.diagnostic.get(buffer) > 0
end)
seen.diagnostics = vim.tbl_map(function(one) return one.code end, vim.diagnostic.get(buffer))

vim.cmd('InklingFix')
wait('fix', function()
  return vim.api.nvim_buf_get_lines(buffer, 0, 1, false)[1] ~= 'import os'
end)
seen.fixed = vim.api.nvim_buf_get_lines(buffer, 0, -1, false)
vim.cmd('silent undo')
seen.undone = vim.api.nvim_buf_get_lines(buffer, 0, 1, false)[1]

local function status()
  local answer = client:request_sync('inkling/status', vim.empty_dict(), 20000, buffer)
  return answer and answer.result
end
wait('model and index', function()
  local now = status()
  return now and now.model.state == 'ready' and now.workspaces[1].index.phase == 'ready'
end)

vim.cmd('InklingSearch surface of something round')
wait('search', function()
  return #vim.fn.getqflist() > 0
end)
seen.search = vim.tbl_map(function(item)
  return vim.fs.basename(vim.api.nvim_buf_get_name(item.bufnr))
end, vim.fn.getqflist())
vim.cmd.cclose()

local last = vim.api.nvim_buf_line_count(buffer)
vim.api.nvim_buf_set_lines(buffer, last, last, false, { 'for i in ran' })
vim.api.nvim_win_set_cursor(0, { last + 1, 12 })
vim.cmd('startinsert!')
vim.fn.maparg('<C-\\>', 'i', false, true).callback()
wait('completion', function()
  return #vim.api.nvim_buf_get_lines(buffer, last, last + 1, false)[1] > 12 or #told > 1
end)
seen.completed = vim.api.nvim_buf_get_lines(buffer, last, last + 1, false)[1]

seen.told = told
client:stop()
wait('end', function()
  return client:is_stopped()
end)
io.write(vim.json.encode(seen) .. '\n')
vim.cmd('qall!')
