# SPDX-License-Identifier: GPL-3.0-or-later
class OrdersController < ActionController::API
  def index = render(json: [])
end
