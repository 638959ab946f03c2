// SPDX-License-Identifier: GPL-3.0-or-later
export default function Page() {
  return <h1>Orders</h1>
}
