/**
 * Words of customers' messages, frequent ones first.
 *
 * @module
 */

/** A few hundred words of two languages. */
export const WORDS: readonly string[] = `
the to you I a is for and it of in can my please order have thanks on we your do when be with not yes
this that will are ok hi hello what how much today tomorrow price send me at if still from available
delivery time no just was has new there one so get need want more good morning already but would like
know let us now pick up by payment paid transfer address size color stock which any or as they our
week saya mau pesan yang dan ini itu untuk bisa tidak ada sudah belum berapa harga kirim alamat
besok hari terima kasih kak barang ukuran warna pembayaran bukti nomor rekening tolong dibantu lagi
cek masih ready banyak dari ke dengan apakah kalau juga nanti pagi siang sore malam toko jam buka
tutup ongkir gratis promo diskon pengiriman paket resi kurir rumah kantor jalan kota monday tuesday
wednesday thursday friday saturday sunday january february march april may june july august invoice
receipt refund return exchange broken missing wrong item arrived late early waiting confirm cancel
change update number phone email name account card cash bank discount voucher code expired valid
shipping tracking courier package parcel box bag shirt shoes dress jacket pants hat watch ring phone
case cable charger laptop screen battery keyboard mouse printer paper ink book pen table chair lamp
sofa bed mattress pillow blanket curtain kitchen bathroom garden garage window door wall paint tool
appointment booking schedule doctor dentist clinic haircut massage lesson teacher class student exam
restaurant menu lunch dinner breakfast coffee tea cake bread rice chicken fish beef vegetable fruit
apple orange banana mango spicy sweet salty fresh frozen vegan halal birthday wedding party guest
flower photo video picture link website download install password login error problem issue support
question answer manager team staff colleague friend family mother father sister brother children baby
doctor hospital pharmacy insurance contract signature document passport visa ticket flight hotel room
train station airport taxi driver parking street corner building floor elevator entrance reception
quantity dozen kilo gram liter meter centimeter small medium large extra red blue green yellow black
white grey brown pink purple silver gold wooden plastic leather cotton steel glass quality warranty
repair replace service technician visit estimate quotation budget expensive cheap bargain negotiable
wholesale retail supplier warehouse inventory shipment customs import export container pallet truck
`.trim().split(/\s+/);
