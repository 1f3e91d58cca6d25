-- Inkling in Neovim 0.11 or newer: put this into your init.lua, or `dofile` it.
--
-- Diagnostics, symbols and code actions come by themselves. Neovim 0.12 shows ghost text by itself; in 0.11, and by hand
-- anywhere, Ctrl+\ in insert mode completes at the cursor.

local capabilities = vim.lsp.protocol.make_client_capabilities()
capabilities.textDocument.inlineCompletion = { dynamicRegistration = false } -- 0.11 does not announce it by itself

vim.lsp.config('inkling', {
  cmd = { 'inkling', 'serve' },
  root_markers = { '.git' },
  capabilities = capabilities,
  init_options = {
    trusted = false, -- true: pyright and linters of your own may run programs of every folder that you open
    completion = { mode = 'balanced' }, -- eager, balanced or quiet; all settings stand in `server/settings.py`
  },
})
vim.lsp.enable('inkling')

local function client_of(buffer)
  local client = vim.lsp.get_clients({ name = 'inkling', bufnr = buffer })[1]
  if client == nil then
    vim.notify('Inkling: no server for this buffer; `:checkhealth vim.lsp` says why.', vim.log.levels.WARN)
  end
  return client
end

-- Ask for a completion at the cursor and put it in. The server hears that it was taken.
local function complete()
  local buffer = vim.api.nvim_get_current_buf() -- never 0: a request for buffer 0 does not send pending changes first
  local client = client_of(buffer)
  if client == nil then
    return
  end
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = 1 }
  client:request('textDocument/inlineCompletion', params, function(error, result)
    local item = not error and result and (result.items or result)[1]
    if not item then
      client:request('inkling/status', vim.empty_dict(), function(_, status)
        local refusal = status and status.lastRefusal
        vim.notify('Inkling: nothing here. ' .. (type(refusal) == 'table' and refusal.detail or ''))
      end, buffer)
      return
    end
    vim.lsp.util.apply_text_edits({ { range = item.range, newText = item.insertText } }, buffer, client.offset_encoding)
    local lines = vim.split(item.insertText, '\n')
    local start = item.range.start
    local column = #lines[#lines] + (#lines == 1 and vim.str_byteindex(
      vim.api.nvim_buf_get_lines(buffer, start.line, start.line + 1, false)[1], client.offset_encoding, start.character
    ) or 0)
    vim.api.nvim_win_set_cursor(0, { start.line + #lines, column })
    client:exec_cmd(item.command, { bufnr = buffer })
  end, buffer)
end
vim.keymap.set('i', '<C-\\>', complete, { desc = 'Inkling: complete at the cursor' })

if vim.lsp.inline_completion then -- 0.12: ghost text; Tab takes it
  vim.lsp.inline_completion.enable()
  vim.keymap.set('i', '<Tab>', function()
    if not vim.lsp.inline_completion.get() then
      return '<Tab>'
    end
  end, { expr = true, desc = 'Inkling: take the ghost text' })
end

-- :InklingSearch where are retries configured
vim.api.nvim_create_user_command('InklingSearch', function(options)
  local client = client_of(vim.api.nvim_get_current_buf())
  if client == nil then
    return
  end
  client:request('inkling/search', { query = options.args }, function(error, result)
    if error or #result.hits == 0 then
      vim.notify('Inkling: ' .. (error and error.message or 'nothing fits.'))
      return
    end
    local items = vim.tbl_map(function(hit)
      local first = vim.trim(vim.split(vim.trim(hit.text), '\n')[1])
      return { filename = vim.uri_to_fname(hit.uri), lnum = hit.range.start.line + 1, col = 1, text = first }
    end, result.hits)
    vim.fn.setqflist({}, ' ', { title = 'Inkling: ' .. options.args, items = items })
    vim.cmd.copen()
  end)
end, { nargs = '+', desc = 'Search by meaning; the results are the quickfix list' })

-- :InklingFix mends the finding on the line of the cursor, if the linters agree afterwards; `u` undoes it
vim.api.nvim_create_user_command('InklingFix', function()
  local buffer = vim.api.nvim_get_current_buf()
  local client = client_of(buffer)
  if client ~= nil then
    local line = vim.api.nvim_win_get_cursor(0)[1] - 1
    local command = { command = 'inkling.agent.fix', arguments = { vim.uri_from_bufnr(buffer), line } }
    client:request('workspace/executeCommand', command, function(error, result)
      vim.notify('Inkling: ' .. (error and error.message or result.message))
    end, buffer)
  end
end, { desc = 'Mend the finding on this line' })

-- :InklingConsent local | off    what may be recorded of this folder, on this machine only
vim.api.nvim_create_user_command('InklingConsent', function(options)
  local client = client_of(vim.api.nvim_get_current_buf())
  if client ~= nil then
    local command = { command = 'inkling.consent', arguments = { options.args } }
    client:request('workspace/executeCommand', command, function(error, result)
      vim.notify('Inkling: ' .. (error and error.message or result.error or ('recorded: ' .. result.consent)))
    end)
  end
end, { nargs = 1, complete = function() return { 'off', 'local' } end, desc = 'Choose what is recorded' })
